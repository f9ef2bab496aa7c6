// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { G1Point } from "../lib/Types.sol";

/// @title Proofs that an account holds the secret of a key
/// @notice Each proof is bound to the chain id, to the contract that asks (`msg.sender`) and to the owner, so
/// that nobody can register with the proof of somebody else, here or on another deployment.
interface IKeyProofs {
    /// @notice The signature does not show possession of this key, for this owner at this deployment.
    error BadConsensusKeyProof(bytes32 key);

    /// @notice Reverts unless `possession` is a BLS signature by `key` over its ownership by `owner`.
    function requireSettlementKey(address owner, G1Point calldata key, bytes calldata possession)
        external
        view;

    /// @notice Reverts unless (r, s) is an ed25519 signature by `key` over its ownership by `owner`.
    function requireConsensusKey(address owner, bytes32 key, bytes32 r, bytes32 s) external view;
}
