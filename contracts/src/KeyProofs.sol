// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IKeyProofs } from "./interfaces/IKeyProofs.sol";
import { Bls12381 } from "./lib/Bls12381.sol";
import { Ed25519 } from "./lib/Ed25519.sol";
import { SignBytes } from "./lib/SignBytes.sol";
import { G1Point, SigningDomain } from "./lib/Types.sol";

/// Proofs of possession, apart from the stake that needs them because of the size of a contract. Stateless:
/// the domain of a proof is whoever asks.
contract KeyProofs is IKeyProofs {
    /// @inheritdoc IKeyProofs
    function requireSettlementKey(address owner, G1Point calldata key, bytes calldata possession)
        external
        view
    {
        Bls12381.verifyPossession(
            key, SignBytes.settlementKeyPossession(domainOf(msg.sender), owner, key), possession
        );
    }

    /// @inheritdoc IKeyProofs
    function requireConsensusKey(address owner, bytes32 key, bytes32 r, bytes32 s) external view {
        bytes32 message = SignBytes.consensusKeyPossession(domainOf(msg.sender), owner, key);
        if (!Ed25519.verify(key, r, s, message)) revert BadConsensusKeyProof(key);
    }

    /// Keys are registered before the network has an id: the id covers them. Chain and contract separate
    /// deployments, and one deployment serves one network.
    function domainOf(address stake) private view returns (SigningDomain memory) {
        // Chain ids above 64 bits are refused by every client.
        // forge-lint: disable-next-line(unsafe-typecast)
        return SigningDomain({ network: 0, l1ChainId: uint64(block.chainid), l1Contract: stake });
    }
}
