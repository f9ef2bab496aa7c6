// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Keys } from "../../src/interfaces/IConclaveStake.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { G1Point } from "../../src/lib/Types.sol";

interface VmEd25519 {
    function publicKeyEd25519(bytes32 secret) external pure returns (bytes32);
    function signEd25519(bytes calldata namespace, bytes calldata message, bytes32 secret)
        external
        pure
        returns (bytes memory);
}

VmEd25519 constant vmEd25519 = VmEd25519(address(uint160(uint256(keccak256("hevm cheat code")))));

/// Keys of validators by number, and what their owners sign. BLS signatures come from the precompiles for sums of
/// multiples, so that no other program has to be asked.
library Secrets {
    address private constant G1_MSM = address(0x0c);
    address private constant G2_MSM = address(0x0e);
    bytes private constant G1 =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";

    function settlement(uint256 number) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("settlement", number))) % Bls12381.ORDER;
    }

    function consensus(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("consensus", number));
    }

    function keys(uint256 number) internal view returns (Keys memory) {
        return Keys({
            consensusKey: vmEd25519.publicKeyEd25519(consensus(number)),
            settlementKey: settlementKey(number),
            networkKey: keccak256(abi.encode("network", number))
        });
    }

    function settlementKey(uint256 number) internal view returns (G1Point memory) {
        (bool ok, bytes memory out) = G1_MSM.staticcall(abi.encodePacked(G1, settlement(number)));
        require(ok, "G1 multiple");
        return abi.decode(out, (G1Point));
    }

    /// The settlement signature of the secret `scalar`, which may be a sum of secrets.
    function sign(uint256 scalar, bytes32 message) internal view returns (bytes memory) {
        return multiple(Bls12381.hashToG2(Bls12381.DST, message), scalar);
    }

    function possess(uint256 number, bytes32 message) internal view returns (bytes memory) {
        return multiple(Bls12381.hashToG2(Bls12381.DST_POSSESSION, message), settlement(number));
    }

    function signConsensus(uint256 number, bytes32 message) internal pure returns (bytes32 r, bytes32 s) {
        return abi.decode(
            vmEd25519.signEd25519("", abi.encodePacked(message), consensus(number)), (bytes32, bytes32)
        );
    }

    function multiple(bytes memory point, uint256 scalar) private view returns (bytes memory) {
        (bool ok, bytes memory out) = G2_MSM.staticcall(abi.encodePacked(point, scalar));
        require(ok, "G2 multiple");
        return out;
    }
}
