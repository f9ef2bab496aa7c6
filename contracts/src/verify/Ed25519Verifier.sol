// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Ed25519 } from "../lib/Ed25519.sol";

/// @title Ed25519Verifier
/// @notice {Ed25519} as a contract without state: its tables and formulas are 8 kB of code, and no contract may
/// have more than 24.
contract Ed25519Verifier {
    /// @notice Whether (`r`, `s`) is the signature of `key` for a 32-byte digest.
    function isSigned(bytes32 key, bytes32 r, bytes32 s, bytes32 digest) external view returns (bool) {
        return Ed25519.verify(key, r, s, digest);
    }
}
