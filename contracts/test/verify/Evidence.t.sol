// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ConclaveSlasher } from "../../src/ConclaveSlasher.sol";
import { G1Point, Member, ValidatorId } from "../../src/lib/Types.sol";
import { TestBase, vm } from "../utils/Vm.sol";
import { StakeDouble } from "./StakeDouble.sol";

/// What a node writes into a file of evidence, as the command takes it to L1: the call is that of
/// `tests/vectors/evidence-v1.json`, byte for byte, and so are the offences that come of it.
contract EvidenceTest is TestBase {
    string private json;
    StakeDouble private stake;
    ConclaveSlasher private slasher;

    function setUp() public {
        json = vm.readFile("../tests/vectors/evidence-v1.json");
        vm.chainId(vm.parseJsonUint(json, ".domain.l1_chain_id"));
        stake = StakeDouble(vm.parseJsonAddress(json, ".domain.l1_contract"));
        vm.etch(address(stake), address(new StakeDouble()).code);
        vm.store(address(stake), 0, vm.parseJsonBytes32(json, ".domain.network"));
        vm.assertEq(stake.network(), vm.parseJsonBytes32(json, ".domain.network"), "the network's slot");
        slasher = new ConclaveSlasher(stake, stake);
        stake.appoint(epoch(), members());
    }

    function test_the_call_of_the_vectors_convicts_whom_the_vectors_name() public {
        (bool isTaken,) = address(slasher).call(vm.parseJsonBytes(json, ".call"));
        vm.assertTrue(isTaken, "taken");
        bytes32[] memory offences = vm.parseJsonBytes32Array(json, ".offences");
        vm.assertEq(stake.seizureCount(), offences.length, "each once");
        for (uint256 i = 0; i < offences.length; ++i) {
            StakeDouble.Seizure memory seizure = stake.seizureOf(offences[i]);
            vm.assertEq(ValidatorId.unwrap(seizure.validator), 3 + i, "members 2, 3 and 4");
            vm.assertTrue(seizure.tombstone && seizure.epoch == epoch(), "for ever, in that epoch");
        }
    }

    /// Two proposals and two votes, each pair as `contracts/rust/report.rs` encodes it from what validators sign.
    function test_the_calls_of_equivocations_convict_whom_the_vectors_name() public {
        string memory calls = vm.readFile("../tests/vectors/equivocations-v1.json");
        uint256 fresh = vm.snapshotState();
        for (uint256 i = 0; i < 5; ++i) {
            string memory at = string.concat(".calls[", vm.toString(i), "]");
            bytes memory call = vm.parseJsonBytes(calls, string.concat(at, ".call"));
            for (uint256 word = 4; word < call.length; word += 32) {
                bytes memory changed = bytes.concat(call);
                changed[word + 31] ^= 0x01;
                (bool isChanged,) = address(slasher).call(changed);
                vm.assertFalse(isChanged, "taken with a word changed");
            }
            (bool isTaken,) = address(slasher).call(call);
            vm.assertTrue(isTaken, "taken");
            bytes32 offence = vm.parseJsonBytes32(calls, string.concat(at, ".offence"));
            StakeDouble.Seizure memory seizure = stake.seizureOf(offence);
            vm.assertEq(ValidatorId.unwrap(seizure.validator), 5, "member 4");
            vm.assertTrue(seizure.tombstone && seizure.epoch == epoch(), "for ever, in that epoch");
            vm.revertToState(fresh);
        }
    }

    /// Every bit of it counts: of what is signed, of what is shown, and of who is accused.
    function test_a_call_with_a_word_changed_convicts_nobody() public {
        bytes memory call = vm.parseJsonBytes(json, ".call");
        for (uint256 word = 4; word + 32 <= call.length; word += 32) {
            bytes memory changed = bytes.concat(call);
            changed[word + 31] ^= 0x01;
            // A precompile that refuses a point takes all the gas that there is.
            (bool isTaken,) = address(slasher).call{ gas: 5_000_000 }(changed);
            vm.assertFalse(isTaken, "taken with a word changed");
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function epoch() private view returns (uint64) {
        return uint64(vm.parseJsonUint(json, ".epoch"));
    }

    function members() private view returns (Member[] memory list) {
        bytes32[] memory consensusKeys = vm.parseJsonBytes32Array(json, ".consensus_keys");
        bytes[] memory settlementKeys = vm.parseJsonBytesArray(json, ".settlement_keys");
        uint256[] memory validators = vm.parseJsonUintArray(json, ".validators");
        list = new Member[](consensusKeys.length);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = Member({
                consensusKey: consensusKeys[i],
                settlementKey: abi.decode(settlementKeys[i], (G1Point)),
                power: 1,
                validator: ValidatorId.wrap(uint32(validators[i]))
            });
        }
    }
}
