// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveInbox, Posting } from "../src/interfaces/IConclaveInbox.sol";
import { Network } from "./support/Network.sol";
import { vm } from "./utils/Vm.sol";

/// A call of `commit` settles wherever the parts of the posting lie, also before the posting: the offset of a part is a
/// signed number to the compiler. Who reads calldata (`contracts/rust/posting.rs`) has to find what settles, so both run the
/// layouts of `tests/vectors/posting-layouts-v1.json`.
contract LayoutsTest is Network {
    string private json;

    function setUp() public {
        json = vm.readFile("../tests/vectors/posting-layouts-v1.json");
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        vm.roll(block.number + 10);
    }

    function partOf(Posting memory p, string memory part) private pure returns (bytes memory) {
        bytes32 name = keccak256(bytes(part));
        if (name == keccak256("selector")) return abi.encodePacked(IConclaveInbox.commit.selector);
        if (name == keccak256("commitment")) return abi.encode(p.commitment);
        if (name == keccak256("signers")) return abi.encode(p.signers);
        if (name == keccak256("signature")) return p.signature;
        return vm.parseBytes(part);
    }

    function encode(Posting memory p, string memory layout) private view returns (bytes memory data) {
        string[] memory parts = vm.parseJsonStringArray(json, string.concat(layout, ".parts"));
        for (uint256 i = 0; i < parts.length; ++i) {
            data = bytes.concat(data, partOf(p, parts[i]));
        }
    }

    /// Whether that settles height 1, of which nothing stays.
    function settles(bytes memory data) private returns (bool taken) {
        uint256 before = vm.snapshotState();
        (taken,) = address(net.inbox).call(data);
        vm.assertEq(settledHeight(), taken ? 1 : 0, "settled height");
        vm.revertToState(before);
    }

    function test_wherever_the_parts_of_a_posting_lie_it_settles() public {
        Posting memory p = certified(commitmentAt(1), everyone());
        uint256 count;
        for (string memory at = ".layouts[0]"; vm.keyExistsJson(json, at);) {
            bool expected = vm.parseJsonBool(json, string.concat(at, ".settles"));
            string memory name = vm.parseJsonString(json, string.concat(at, ".name"));
            vm.assertTrue(settles(encode(p, at)) == expected, name);
            at = string.concat(".layouts[", vm.toString(++count), "]");
        }
        vm.assertEq(count, 13, "layouts");
        vm.assertEq(encode(p, ".layouts[0]"), abi.encodeCall(IConclaveInbox.commit, (p)), "the usual one");
    }

    function test_no_bit_of_a_commitment_is_passed_over() public {
        bytes memory data = encode(certified(commitmentAt(1), everyone()), ".layouts[0]");
        uint256[] memory narrow = vm.parseJsonUintArray(json, ".narrow");
        vm.assertEq(narrow.length, 5, "words that hold less");
        for (uint256 i = 0; i < narrow.length; ++i) {
            uint256 at = 4 + 32 + 32 * narrow[i];
            data[at] = 0x01;
            vm.assertFalse(settles(data), "a number that is too large");
            data[at] = 0;
        }
        vm.assertTrue(settles(data), "and with none of these it does");
    }
}
