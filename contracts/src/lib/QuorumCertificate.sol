// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "./Bls12381.sol";
import { CommitteeTable } from "./CommitteeTable.sol";
import { Committee, G1Point } from "./Types.sol";

/// An aggregate signature by members of a committee. The key of the signers is the sum of all keys less
/// those of the absent, because more than two thirds are usually there.
///
/// Every failure reverts, so that an estimate of gas can never settle on an amount at which the check runs out
/// of gas while the transaction succeeds.
library QuorumCertificate {
    error NoSigners();
    error UnknownSigners(uint256 signers, uint256 count);
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

    /// The sum of the signers' keys, and their voting power.
    function aggregate(Committee memory committee, uint256 signers)
        internal
        view
        returns (G1Point memory key, uint64 power)
    {
        uint256 count = committee.count;
        if (signers == 0) revert NoSigners();
        if (signers >> count != 0) revert UnknownSigners(signers, count);
        address table = committee.table;
        uint256 absentPower = 0;
        bool failed = false;
        assembly ("memory-safe") {
            // Two points side by side, as the precompile for addition takes them; the first is the sum.
            let sum := mload(0x40)
            let other := add(sum, 128)
            let row := add(sum, 256)
            mstore(0x40, add(row, 128))
            extcodecopy(table, row, 1, 96)
            mstore(sum, shr(128, mload(row)))
            mstore(add(sum, 32), mload(add(row, 16)))
            mstore(add(sum, 64), shr(128, mload(add(row, 48))))
            mstore(add(sum, 96), mload(add(row, 64)))
            let absent := xor(signers, sub(shl(count, 1), 1))
            for { let at := 133 } absent {
                at := add(at, 140)
                absent := shr(1, absent)
            } {
                if iszero(and(absent, 1)) { continue }
                // From a row's power on; 133 = the code's head of 97 bytes and the row's first 36.
                extcodecopy(table, row, at, 104)
                absentPower := add(absentPower, shr(192, mload(row)))
                mstore(other, shr(128, mload(add(row, 8))))
                mstore(add(other, 32), mload(add(row, 24)))
                // −(x, y) = (x, p − y); keys are not infinity and have no y of zero.
                let high := shr(128, mload(add(row, 56)))
                let low := mload(add(row, 72))
                mstore(
                    add(other, 64),
                    sub(
                        sub(0x1a0111ea397fe69a4b1ba7b6434bacd7, high),
                        gt(low, 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab)
                    )
                )
                mstore(
                    add(other, 96),
                    sub(0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab, low)
                )
                if iszero(staticcall(gas(), 0x0b, sum, 256, sum, 128)) {
                    failed := 1
                    break
                }
            }
            key := sum
        }
        if (failed) revert Bls12381.PrecompileFailed(0x0b);
        // Members' powers add up to the total, which has 63 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        power = uint64(committee.totalPower - absentPower);
    }
}
