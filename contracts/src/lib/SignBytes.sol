// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { BlockCommitment, G1Point, SigningDomain } from "./Types.sol";

/// The digests that validators sign, rebuilt from their parts: `types/src/digest.rs` and
/// `types/src/commitment.rs` in the same layout. Every preimage is fixed-width and opens with a tag, so no
/// digest of one kind can be taken for another.
library SignBytes {
    uint8 internal constant PREVOTE = 0;
    uint8 internal constant PRECOMMIT = 1;
    /// The round of the polka that a proposal rests on, if it rests on none.
    uint32 internal constant NO_ROUND = type(uint32).max;

    /// A prevote or precommit; nil is the zero block id.
    function vote(
        SigningDomain memory domain,
        uint64 epoch,
        uint8 kind,
        uint64 height,
        uint32 round,
        bytes32 blockId
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                "conclave/vote/v1",
                domain.network,
                domain.l1ChainId,
                domain.l1Contract,
                epoch,
                kind,
                height,
                round,
                blockId
            )
        );
    }

    /// A proposal.
    function proposal(
        SigningDomain memory domain,
        uint64 epoch,
        uint64 height,
        uint32 round,
        bytes32 blockId,
        uint32 polkaRound
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                "conclave/proposal/v1",
                domain.network,
                domain.l1ChainId,
                domain.l1Contract,
                epoch,
                height,
                round,
                blockId,
                polkaRound
            )
        );
    }

    /// A share message: the Merkle root over one validator's shares for a block.
    function shares(SigningDomain memory domain, uint64 epoch, uint64 height, bytes32 blockId, bytes32 root)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encodePacked(
                "conclave/shares/v1",
                domain.network,
                domain.l1ChainId,
                domain.l1Contract,
                epoch,
                height,
                blockId,
                root
            )
        );
    }

    /// A commitment: what an attestation signs with the settlement key.
    function commitment(SigningDomain memory domain, BlockCommitment memory c)
        internal
        pure
        returns (bytes32)
    {
        // In three parts: one call has more arguments than the stack has room for.
        bytes memory position = abi.encodePacked(
            bytes1(0x02),
            "conclave/hdr/v1",
            domain.network,
            domain.l1ChainId,
            domain.l1Contract,
            c.epoch,
            c.height,
            c.blockId
        );
        bytes memory content = abi.encodePacked(c.historyRoot, c.revealRoot, c.rollupCount);
        bytes memory l1 = abi.encodePacked(
            c.originNumber, c.originHash, c.forcedCursor, c.withdrawalsRoot, c.nextCommittee, c.dkgResult
        );
        return keccak256(bytes.concat(position, content, l1));
    }

    /// What a consensus key signs to show that `owner` holds it.
    function consensusKeyPossession(SigningDomain memory domain, address owner, bytes32 key)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encodePacked(
                "conclave/consensus-key/v1", domain.network, domain.l1ChainId, domain.l1Contract, owner, key
            )
        );
    }

    /// What a settlement key signs, under the DST for proofs of possession, to show that `owner` holds it.
    function settlementKeyPossession(SigningDomain memory domain, address owner, G1Point memory key)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encodePacked(
                "conclave/settlement-key/v1",
                domain.network,
                domain.l1ChainId,
                domain.l1Contract,
                owner,
                uint128(key.xHigh),
                key.xLow,
                uint128(key.yHigh),
                key.yLow
            )
        );
    }
}
