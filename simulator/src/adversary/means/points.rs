//! Points that are nobody's share and open nothing.

use conclave_types::G1Bytes;

/// The generator of G1: on the curve, in the subgroup, and nobody's share.
const GENERATOR: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

/// The point itself.
pub(crate) fn generator() -> G1Bytes {
    GENERATOR.parse().unwrap_or_default()
}
