// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibBit } from "solady/utils/LibBit.sol";

import { Bls12381 } from "./Bls12381.sol";
import { CommitteeTable } from "./CommitteeTable.sol";
import { Committee, G1Point } from "./Types.sol";

/// An aggregate signature by members of a committee. The key of the signers is the sum of theirs, or that of all less the
/// sum of the absent, whichever are fewer: so at most half of the keys are added up, whoever signed.
///
/// Every failure reverts, so that an estimate of gas can never settle on an amount at which the check runs out
/// of gas while the transaction succeeds.
library QuorumCertificate {
    /// The bitmap names nobody.
    error NoSigners();
    /// The bitmap names members beyond the committee.
    error UnknownSigners(uint256 signers, uint256 count);
    /// The signers have less power than a quorum.
    error NoQuorum(uint64 expected, uint64 found);

    /// Reverts unless members `signers` (bit i is member i) signed `message` and are a quorum.
    function requireQuorum(
        Committee memory committee,
        bytes32 message,
        uint256 signers,
        bytes calldata signature
    ) internal view {
        uint64 expected = CommitteeTable.quorum(committee);
        uint64 power = requireSigned(committee, message, signers, signature);
        if (power < expected) revert NoQuorum(expected, power);
    }

    /// Reverts unless members `signers` all signed `message`; returns their voting power.
    function requireSigned(
        Committee memory committee,
        bytes32 message,
        uint256 signers,
        bytes calldata signature
    ) internal view returns (uint64 power) {
        G1Point memory key;
        (key, power) = aggregate(committee, signers);
        Bls12381.verify(key, message, signature);
    }

    /// Reverts unless members `leftSigners` all signed `left` and `rightSigners` `right`, `sum` being all of these signatures
    /// together: see {Bls12381-verifyBoth} for what that shows, and what it does not.
    function requireBothSigned(
        Committee memory committee,
        bytes32 left,
        uint256 leftSigners,
        bytes32 right,
        uint256 rightSigners,
        bytes memory sum
    ) internal view {
        (G1Point memory leftKey,) = aggregate(committee, leftSigners);
        (G1Point memory rightKey,) = aggregate(committee, rightSigners);
        Bls12381.verifyBoth(leftKey, left, rightKey, right, sum);
    }

    /// The sum of the signers' keys, and their voting power.
    function aggregate(Committee memory committee, uint256 signers)
        internal
        view
        returns (G1Point memory key, uint64 power)
    {
        uint256 count = committee.count;
        if (signers == 0) revert NoSigners();
        if (signers >> count != 0) revert UnknownSigners(signers, count);
        if (LibBit.popCount(signers) * 2 < count) {
            power = addRows(committee.table, signers, key);
        } else {
            // −(−all + absent): one negation at each end, rather than one of each key.
            CommitteeTable.sumOfKeys(committee, key);
            Bls12381.negate(key);
            uint64 absent = addRows(committee.table, signers ^ ((1 << count) - 1), key);
            power = committee.totalPower - absent;
            Bls12381.negate(key);
        }
    }

    /// Adds the keys of the members `picked` to `key`, and returns their voting power, which has 63 bits like the total.
    function addRows(address table, uint256 picked, G1Point memory key) private view returns (uint64 power) {
        bool failed = false;
        assembly ("memory-safe") {
            // Two points side by side, as the precompile for addition takes them; the first is the sum.
            let sum := mload(0x40)
            let other := add(sum, 128)
            let row := add(sum, 256)
            mcopy(sum, key, 128)
            // From a row's power on; 133 = the code's head of 97 bytes and the row's first 36.
            for { let at := 133 } picked {
                at := add(at, 140)
                picked := shr(1, picked)
            } {
                if iszero(and(picked, 1)) { continue }
                extcodecopy(table, row, at, 104)
                power := add(power, shr(192, mload(row)))
                mstore(other, shr(128, mload(add(row, 8))))
                mstore(add(other, 32), mload(add(row, 24)))
                mstore(add(other, 64), shr(128, mload(add(row, 56))))
                mstore(add(other, 96), mload(add(row, 72)))
                if iszero(staticcall(gas(), 0x0b, sum, 256, sum, 128)) {
                    failed := 1
                    break
                }
            }
            mcopy(key, sum, 128)
        }
        if (failed) revert Bls12381.PrecompileFailed(0x0b);
    }
}
