// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Deployed, Deployment } from "../script/Deployment.sol";
import { TestBase, vm } from "./utils/Vm.sol";

/// Where a deployment goes and what it is made from, against `tests/vectors/deployment-v1.json`, which the deployment
/// in Rust is held to as well.
contract DeploymentTest is TestBase {
    string private json = vm.readFile("../tests/vectors/deployment-v1.json");

    function at(string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, key);
    }

    function test_contracts_are_where_the_vectors_have_them() public view {
        Deployed memory d = Deployment.predict(at(".deployer"), vm.parseJsonUint(json, ".nonce"));
        vm.assertEq(address(d.timelock), at(".addresses.timelock"), "timelock");
        vm.assertEq(address(d.keyProofs), at(".addresses.key_proofs"), "key proofs");
        vm.assertEq(address(d.election), at(".addresses.election"), "election");
        vm.assertEq(address(d.stake), at(".addresses.stake"), "stake");
        vm.assertEq(address(d.inbox), at(".addresses.inbox"), "inbox");
        vm.assertEq(address(d.forced), at(".addresses.forced"), "forced");
        vm.assertEq(address(d.vault), at(".addresses.vault"), "vault");
        vm.assertEq(address(d.registry), at(".addresses.registry"), "registry");
        vm.assertEq(address(d.slasher), at(".addresses.slasher"), "slasher");
    }

    function test_defaults_are_those_of_the_vectors() public view {
        bytes memory encoded = abi.encode(Deployment.defaults(at(".launcher"), at(".council")));
        vm.assertEq(encoded, vm.parseJsonBytes(json, ".configuration"), "configuration");
    }
}
