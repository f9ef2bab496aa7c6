// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { SealedShare } from "./SealedShare.sol";

/// @title ShareVerifier
/// @notice {SealedShare} as a contract without state.
contract ShareVerifier {
    /// @notice Reverts unless the claim's parts belong together; then says whether the share is right.
    function isRight(SealedShare.Context calldata context, SealedShare.Claim calldata claim)
        external
        view
        returns (bool)
    {
        return SealedShare.isRight(context, claim);
    }
}
