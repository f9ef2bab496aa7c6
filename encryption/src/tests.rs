//! What the crate promises, and what it must withstand. The arithmetic that judges is written out here
//! and shares nothing with the code but the curve.

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use conclave_types::{
    BlockId, BundleHeader, BundleNonce, EncryptionKey, Era, G1Bytes, Gwei, Height, KeyId, Leg,
    NetworkId, Opening, PayerAddress, RollupId, SeedBytes,
};
use ff::Field;
use group::{Group, prime::PrimeCurveAffine};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};

use crate::{
    Capsule, CapsuleError, Encapsulation, Packing, PublicKey, Sealed, SealedBlock, SecretShare,
    Suite, curve::encode_g2, dkg::SharingPolynomial, secret::Secret,
};

/// Each of these as a test of its own for each suite.
macro_rules! both_suites {
    ($($name:ident),+ $(,)?) => {
        mod packed {
            $(#[test]
            fn $name() {
                super::$name(crate::Suite::Packed);
            })+
        }

        mod baseline {
            $(#[test]
            fn $name() {
                super::$name(crate::Suite::Baseline);
            })+
        }
    };
}

mod baseline;
mod coalition;
mod expected;
mod keys;
mod opening;
mod sealing;
mod seeds;
pub(crate) mod vectors;

pub(crate) const SEED: [u8; 32] = [0x5e; 32];

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(crate) fn network() -> NetworkId {
    NetworkId::new([0x11; 32])
}

pub(crate) fn header(sequence: u64) -> BundleHeader {
    BundleHeader {
        network: network(),
        suite: 0,
        key_id: KeyId::ZERO,
        payer: PayerAddress::new([0x22; 20]),
        nonce: BundleNonce { lane: 3, sequence },
        max_fee: Gwei::new(50_000),
        priority_fee: Gwei::new(9),
        valid_until: Height::new(1_000),
        body_bytes: 0,
    }
}

pub(crate) fn leg(rollup: u64, bytes: &[u8]) -> Leg {
    Leg { rollup: RollupId::new(rollup), transaction: bytes.to_vec() }
}

/// A committee with everything, the secret key included.
struct Committee {
    raw: EncryptionKey,
    key: PublicKey,
    shares: Vec<SecretShare>,
    secret: Scalar,
}

/// A dealer, who knows the key: S(X) = sk + Z(X)·T(X), Z vanishing at every slot and T having c random
/// coefficients. Only tests have one.
fn deal(
    suite: Suite,
    packing: Packing,
    era: Era,
    mut rng: impl RngCore + CryptoRng,
) -> (EncryptionKey, Vec<SecretShare>) {
    let secret = Secret(Scalar::random(&mut rng));
    let polynomial = SharingPolynomial::random(packing, secret, &mut rng);
    let shares: Vec<SecretShare> = (0..packing.parties())
        .map(|party| SecretShare::of_scalar(polynomial.value(party)))
        .collect();
    (key_of(suite, packing, era, polynomial.constant(), &shares), shares)
}

/// The key that belongs to a secret and its shares.
fn key_of(
    suite: Suite,
    packing: Packing,
    era: Era,
    secret: &Scalar,
    shares: &[SecretShare],
) -> EncryptionKey {
    let in_g2 = |scalar: &Scalar| encode_g2(&(G2Projective::generator() * scalar));
    EncryptionKey {
        suite: suite.number(),
        era,
        secrecy: packing.secrecy(),
        packing: packing.packing(),
        public_key: bytes(G1Projective::generator() * secret),
        public_key_g2: in_g2(secret),
        verification_keys: shares.iter().map(|share| in_g2(share.scalar())).collect(),
    }
}

fn committee(suite: Suite, parties: usize) -> Committee {
    let packing = suite.packing(parties, 0).unwrap();
    let (raw, shares) = deal(suite, packing, Era::ZERO, rng(1));
    let key = PublicKey::new(network(), &raw).unwrap();
    let secret = secret_of(&shares, packing);
    Committee { raw, key, shares, secret }
}

pub(crate) fn scalar(share: &SecretShare) -> Scalar {
    Scalar::from_bytes_be(&share.to_bytes()).unwrap()
}

/// The secret key out of c + 1 shares: from S = sk + Z·T with deg T = c − 1, the divided difference of
/// (S − sk)/Z over c + 1 places is zero, which is linear in sk.
pub(crate) fn secret_of(shares: &[SecretShare], packing: Packing) -> Scalar {
    let count = u64::from(packing.secrecy()) + 1;
    let slots = 2..=u64::from(packing.packing()) + 1;
    let (mut above, mut below) = (Scalar::ZERO, Scalar::ZERO);
    for (place, share) in (1..=count).zip(shares) {
        let x = Scalar::from(place);
        let z: Scalar = slots.clone().map(|slot| x + Scalar::from(slot)).product();
        let others = (1..=count).filter(|other| *other != place);
        let difference: Scalar = others.map(|other| x - Scalar::from(other)).product();
        let weight = (z * difference).invert().unwrap();
        above += weight * scalar(share);
        below += weight;
    }
    above * below.invert().unwrap()
}

/// The capsule of a bundle, read as its header says.
pub(crate) fn capsule(sealed: &Sealed) -> Result<Capsule, CapsuleError> {
    Capsule::decode(Suite::of_number(sealed.header.suite).unwrap(), &sealed.capsule)
}

pub(crate) fn point(bytes: &G1Bytes) -> G1Projective {
    G1Projective::from_compressed(bytes.as_bytes()).unwrap()
}

pub(crate) fn bytes(point: G1Projective) -> G1Bytes {
    G1Bytes::new(point.to_compressed())
}

/// Points as a block's bundles would have them.
pub(crate) fn points(count: usize) -> Vec<G1Bytes> {
    let mut rng = rng(2);
    (0..count).map(|_| bytes(G1Projective::generator() * Scalar::random(&mut rng))).collect()
}

/// What bundles encapsulate that are opened by points, whatever the suite.
pub(crate) fn bare(us: &[G1Bytes]) -> Vec<Encapsulation> {
    us.iter().copied().map(Encapsulation::from).collect()
}

/// k of an opening that is one.
pub(crate) fn k_of(opening: &Opening) -> G1Projective {
    point(opening.point().unwrap())
}

impl Committee {
    fn block(&self, us: &[G1Bytes]) -> SealedBlock {
        self.block_of(&bare(us))
    }

    fn block_of(&self, bundles: &[Encapsulation]) -> SealedBlock {
        SealedBlock::new(&self.key, Height::new(5), BlockId::new([0x33; 32]), bundles).unwrap()
    }

    /// A block with these bundles, as they are.
    fn block_with(&self, sealed: &[Sealed]) -> SealedBlock {
        let bundles: Vec<_> =
            sealed.iter().map(|it| Encapsulation::of(&it.header, &it.capsule).unwrap()).collect();
        self.block_of(&bundles)
    }

    fn quorum(&self) -> usize {
        usize::from(self.key.packing().quorum())
    }

    /// The shares of `parties` for `block`.
    fn send(&self, block: &SealedBlock, parties: impl IntoIterator<Item = u16>) -> Sent {
        let share = |party: u16| (party, block.share(&self.shares[usize::from(party)], party));
        Sent(parties.into_iter().map(share).collect())
    }

    fn send_all(&self, block: &SealedBlock) -> Sent {
        self.send(block, 0..self.key.packing().parties())
    }
}

/// Shares, by party.
#[derive(Clone)]
struct Sent(Vec<(u16, Vec<G1Bytes>)>);

impl Sent {
    fn list(&self) -> Vec<(u16, &[G1Bytes])> {
        self.0.iter().map(|(party, shares)| (*party, shares.as_slice())).collect()
    }
}

/// A point of the given order, outside of the subgroup.
pub(crate) fn torsion(order: u128) -> G1Projective {
    const COFACTOR: u128 = 0x396c_8c00_5555_e156_8c00_aaab_0000_aaab;
    let minus_one = (-Scalar::ONE).to_bytes_be();
    let mut cofactor = COFACTOR;
    while cofactor.is_multiple_of(order) {
        cofactor /= order;
    }
    for x in 0_u8.. {
        let mut compressed = [0; 48];
        (compressed[0], compressed[47]) = (0x80, x);
        let found: Option<G1Affine> = G1Affine::from_compressed_unchecked(&compressed).into();
        let Some(found) = found.map(G1Projective::from) else { continue };
        // r·P, and then without all other parts of the cofactor.
        let mut rest = times(&(times(&found, &minus_one) + found), &cofactor.to_be_bytes());
        while !bool::from(rest.is_identity()) {
            let next = times(&rest, &order.to_be_bytes());
            if bool::from(next.is_identity()) {
                return rest;
            }
            rest = next;
        }
    }
    unreachable!("some small x has a point with that torsion");
}

/// A multiple by doubling and adding, which holds on the whole curve.
fn times(point: &G1Projective, number: &[u8]) -> G1Projective {
    let bits = number.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    bits.fold(
        G1Projective::identity(),
        |sum, bit| {
            if bit { sum.double() + point } else { sum.double() }
        },
    )
}

#[test]
fn torsion_points_are_what_they_are_called() {
    for order in [3, 11] {
        let point = torsion(order);
        assert!(bool::from(point.is_on_curve()) && !bool::from(point.is_identity()));
        assert!(bool::from(times(&point, &order.to_be_bytes()).is_identity()));
        assert!(!bool::from(G1Affine::from(point).is_torsion_free()));
    }
}

#[test]
fn blocks_and_keys_can_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<SealedBlock>();
    check::<PublicKey>();
}

/// A point of the curve in G2 outside of its subgroup.
pub(crate) fn g2_outside() -> conclave_types::G2Bytes {
    for x in 1_u8.. {
        let mut compressed = [0; 96];
        (compressed[0], compressed[95]) = (0x80, x);
        let found: Option<G2Affine> = G2Affine::from_compressed_unchecked(&compressed).into();
        if found.is_some_and(|point| !bool::from(point.is_torsion_free())) {
            return conclave_types::G2Bytes::new(compressed);
        }
    }
    unreachable!("most points of the curve are outside of the subgroup");
}

/// The encoding of infinity.
pub(crate) fn infinity() -> G1Bytes {
    G1Bytes::new(G1Affine::identity().to_compressed())
}
