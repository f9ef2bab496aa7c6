// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "./Bls12381.sol";
import { Committee, G1Point, Member, ValidatorId } from "./Types.sol";

/// An epoch's committee as the code of an account, which is cheaper to read than storage.
///
/// ```text
/// code = 0x00 ‖ sum of all settlement keys (x ‖ y, 96 bytes) ‖ row 0 ‖ row 1 ‖ …
/// row  = consensus key (32) ‖ validator u32 ‖ power u64 ‖ settlement key (x ‖ y, 48 bytes each)
/// hash = keccak("conclave/settlement-committee/v1" ‖ row 0 ‖ row 1 ‖ …)
/// ```
///
/// Rows stand in the order of the committee's indices. Who writes a table has checked every settlement key's
/// proof of possession, which also shows that it is in the subgroup.
library CommitteeTable {
    /// A signers' bitmap is one word, and a table one contract's code: 128 rows are 18,017 bytes.
    uint256 internal constant MEMBERS_MAX = 128;
    uint256 internal constant ROW_BYTES = 140;
    uint256 internal constant SUM_BYTES = 96;
    /// The first byte is STOP, so that a call to the table does nothing.
    uint256 internal constant ROWS_AT = 1 + SUM_BYTES;

    /// A committee has 1 to {MEMBERS_MAX} members.
    error MemberCount(uint256 found);
    /// A member has no power.
    error NoPower(uint256 index);
    /// Powers add up to less than 2^63.
    error TotalPower();
    /// The committee has fewer members.
    error NoSuchMember(uint256 index, uint256 count);
    /// The account of the table could not be created, as with too little gas.
    error TableNotWritten();

    /// Writes a table, and returns where it is and the hash that an epoch-end commitment names it by.
    function write(Member[] memory members) internal returns (Committee memory committee, bytes32 hash) {
        uint256 count = members.length;
        if (count == 0 || count > MEMBERS_MAX) revert MemberCount(count);
        bytes memory rows = new bytes(count * ROW_BYTES);
        G1Point memory sum = members[0].settlementKey;
        uint256 total = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (members[i].power == 0) revert NoPower(i);
            total += members[i].power;
            if (i > 0) sum = Bls12381.add(sum, members[i].settlementKey);
            putRow(rows, i, members[i]);
        }
        if (total > uint64(type(int64).max)) revert TotalPower();
        hash = keccak256(abi.encodePacked("conclave/settlement-committee/v1", rows));
        // casting is safe because count and total were checked above
        // forge-lint: disable-next-line(unsafe-typecast)
        committee = Committee({ table: create(sum, rows), count: uint16(count), totalPower: uint64(total) });
    }

    /// The committee's hash, without writing it anywhere.
    function hashOf(Member[] memory members) internal pure returns (bytes32) {
        bytes memory rows = new bytes(members.length * ROW_BYTES);
        for (uint256 i = 0; i < members.length; ++i) {
            putRow(rows, i, members[i]);
        }
        return keccak256(abi.encodePacked("conclave/settlement-committee/v1", rows));
    }

    /// The member at `index`.
    function member(Committee memory committee, uint256 index) internal view returns (Member memory found) {
        if (index >= committee.count) revert NoSuchMember(index, committee.count);
        address table = committee.table;
        uint256 at = ROWS_AT + index * ROW_BYTES;
        bytes32 consensusKey;
        uint256 head;
        G1Point memory key;
        assembly ("memory-safe") {
            let row := mload(0x40)
            extcodecopy(table, row, at, 140)
            consensusKey := mload(row)
            head := shr(160, mload(add(row, 32)))
            mstore(key, shr(128, mload(add(row, 44))))
            mstore(add(key, 32), mload(add(row, 60)))
            mstore(add(key, 64), shr(128, mload(add(row, 92))))
            mstore(add(key, 96), mload(add(row, 108)))
        }
        found = Member({
            consensusKey: consensusKey,
            settlementKey: key,
            power: uint64(head),
            validator: ValidatorId.wrap(uint32(head >> 64))
        });
    }

    /// Writes the sum of all settlement keys to `sum`.
    function sumOfKeys(Committee memory committee, G1Point memory sum) internal view {
        address table = committee.table;
        assembly ("memory-safe") {
            let head := mload(0x40)
            extcodecopy(table, head, 1, 96)
            mstore(sum, shr(128, mload(head)))
            mstore(add(sum, 32), mload(add(head, 16)))
            mstore(add(sum, 64), shr(128, mload(add(head, 48))))
            mstore(add(sum, 96), mload(add(head, 64)))
        }
    }

    /// The least voting power that is more than two thirds.
    function quorum(Committee memory committee) internal pure returns (uint64) {
        return uint64(uint256(committee.totalPower) * 2 / 3 + 1);
    }

    function putRow(bytes memory rows, uint256 index, Member memory m) private pure {
        bytes memory row = abi.encodePacked(
            m.consensusKey,
            ValidatorId.unwrap(m.validator),
            m.power,
            uint128(m.settlementKey.xHigh),
            m.settlementKey.xLow,
            uint128(m.settlementKey.yHigh),
            m.settlementKey.yLow
        );
        assembly ("memory-safe") {
            mcopy(add(add(rows, 32), mul(index, 140)), add(row, 32), 140)
        }
    }

    function create(G1Point memory sum, bytes memory rows) private returns (address table) {
        bytes memory code = abi.encodePacked(
            bytes1(0x00), uint128(sum.xHigh), sum.xLow, uint128(sum.yHigh), sum.yLow, rows
        );
        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes memory init = abi.encodePacked(hex"61", uint16(code.length), hex"80600a3d393df3", code);
        assembly ("memory-safe") {
            table := create(0, add(init, 32), mload(init))
        }
        if (table == address(0)) revert TableNotWritten();
    }
}
