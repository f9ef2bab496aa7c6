// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { Committee, G1Point, Member, ValidatorId } from "../../src/lib/Types.sol";
import { TestBase } from "../utils/Vm.sol";
import { Secrets } from "./Secrets.sol";

/// Committees whose member i has the settlement key of number i + 1, and what they sign.
abstract contract Committees is TestBase {
    function write(Member[] memory members) internal returns (Committee memory committee) {
        (committee,) = CommitteeTable.write(members);
    }

    function honest(uint256 count) internal view returns (Member[] memory members) {
        members = new Member[](count);
        for (uint256 i = 0; i < count; ++i) {
            members[i] = Member({
                consensusKey: bytes32(i + 1),
                settlementKey: Secrets.settlementKey(i + 1),
                power: uint64(100 + i),
                validator: ValidatorId.wrap(uint32(i + 1))
            });
        }
    }

    /// What the members `signers` sign together.
    function signed(bytes32 message, uint256 signers) internal view returns (bytes memory) {
        return Secrets.sign(secretOf(signers), message);
    }

    function secretOf(uint256 signers) internal pure returns (uint256 secret) {
        for (uint256 i = 0; i < 256; ++i) {
            if (signers >> i & 1 == 1) secret = addmod(secret, Secrets.settlement(i + 1), Bls12381.ORDER);
        }
    }

    /// −(x, y) = (x, p − y).
    function negated(G1Point memory point) internal pure returns (G1Point memory) {
        unchecked {
            uint256 high = Bls12381.P_HIGH - point.yHigh - (point.yLow > Bls12381.P_LOW ? 1 : 0);
            return G1Point(point.xHigh, point.xLow, high, Bls12381.P_LOW - point.yLow);
        }
    }
}
