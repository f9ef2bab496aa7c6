// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment, ValidatorId } from "../../src/lib/Types.sol";
import { Network } from "../support/Network.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// What it costs to report one offender to the contracts that are deployed, as a whole transaction: the 21,000, the
/// calldata, storage and contracts that nobody has touched before, stake seized. The rows of `evidence.json` are calls,
/// most of them to a double of the stake contract. The aim is 600,000.
/// forge-config: default.isolate = true
contract EvidenceGasTest is Network {
    uint256 private constant AIM = 600_000;
    uint64 private constant HEIGHT = 16_000_000;
    uint32 private constant ROUND = 1;

    /// In a committee of so many the aim is met by two messages that one member alone has signed, as nodes have them, and by
    /// two certificates that a third is absent from. {test_gas_of_attestations_of_one_height_reported} says why not beyond.
    uint16 private constant ONE_MAX = 25;
    uint16 private constant CERTIFIED_MAX = 64;

    uint16[4] private sizes = [4, ONE_MAX, CERTIFIED_MAX, 100];
    uint16 private member;
    uint256 private offender;

    function open(uint16 count) private {
        deployNetwork();
        joinMany(count, 10 * ETHER);
        openNetwork();
        member = count - 1;
        offender = ValidatorId.unwrap(CommitteeTable.member(committee(), member).validator);
    }

    function test_gas_of_two_votes_reported() public {
        for (uint8 kind = 0; kind < 2; ++kind) {
            open(100);
            IConclaveSlasher.SignedVote[2] memory votes;
            bytes32[2] memory digests;
            for (uint256 i = 0; i < 2; ++i) {
                votes[i].blockId = keccak256(abi.encode("block", i));
                digests[i] = SignBytes.vote(domain(), 0, kind, HEIGHT, ROUND, votes[i].blockId);
                votes[i].signature = signed(digests[i]);
            }
            if (digests[0] > digests[1]) (votes[0], votes[1]) = (votes[1], votes[0]);
            net.slasher.reportVotes(position(), kind, votes[0], votes[1]);
            vm.assertLe(reported(kind == 0 ? "two prevotes" : "two precommits"), AIM, "the aim");
        }
    }

    function test_gas_of_two_proposals_reported() public {
        open(100);
        IConclaveSlasher.SignedProposal[2] memory said;
        bytes32[2] memory digests;
        for (uint256 i = 0; i < 2; ++i) {
            (said[i].blockId, said[i].polkaRound) = (keccak256(abi.encode("block", i)), SignBytes.NO_ROUND);
            digests[i] = SignBytes.proposal(domain(), 0, HEIGHT, ROUND, said[i].blockId, SignBytes.NO_ROUND);
            said[i].signature = signed(digests[i]);
        }
        if (digests[0] > digests[1]) (said[0], said[1]) = (said[1], said[0]);
        net.slasher.reportProposals(position(), said[0], said[1]);
        vm.assertLe(reported("two proposals"), AIM, "the aim");
    }

    /// Each key that is not in a sum of signatures is taken from the sum of all: the fewer sign, the dearer.
    function test_gas_of_attestations_of_one_height_reported() public {
        for (uint256 i = 0; i < sizes.length; ++i) {
            open(sizes[i]);
            uint256 gas = attestations(1 << member, "two attestations, one signer");
            vm.assertTrue((gas <= AIM) == (sizes[i] <= ONE_MAX), "the aim, one signer");
            open(sizes[i]);
            gas = attestations(certifiers(), "two attestations, a third absent");
            vm.assertTrue((gas <= AIM) == (sizes[i] <= CERTIFIED_MAX), "the aim, a third absent");
        }
        open(100);
        vm.assertLe(attestations(everyone(), "two attestations, all signers"), AIM, "the aim");
    }

    function test_gas_of_attestations_of_two_heights_reported() public {
        for (uint256 i = 0; i < sizes.length; ++i) {
            open(sizes[i]);
            uint256 gas = twoHeights(1 << member, "attestations of two heights, one signer");
            vm.assertTrue((gas <= AIM) == (sizes[i] <= ONE_MAX), "the aim, one signer");
            open(sizes[i]);
            gas = twoHeights(certifiers(), "attestations of two heights, a third absent");
            vm.assertTrue((gas <= AIM) == (sizes[i] <= CERTIFIED_MAX), "the aim, a third absent");
        }
        open(100);
        vm.assertLe(twoHeights(everyone(), "attestations of two heights, all signers"), AIM, "the aim");
    }

    function certifiers() private view returns (uint256) {
        return everyone() ^ ((1 << (member / 3)) - 1);
    }

    function attestations(uint256 signers, string memory name) private returns (uint256) {
        BlockCommitment memory a = commitmentAt(HEIGHT);
        BlockCommitment memory b = commitmentAt(HEIGHT);
        b.blockId = keccak256("another block");
        IConclaveSlasher.HistoryEntry memory nothing;
        return report(a, b, nothing, signers, name);
    }

    /// The upper one is of a history that holds another commitment at the height of the lower one.
    function twoHeights(uint256 signers, string memory name) private returns (uint256) {
        BlockCommitment memory lower = commitmentAt(HEIGHT);
        bytes32 digest = SignBytes.commitment(domain(), lower);
        history.put(HEIGHT - 1, digest);
        lower.blockId = keccak256("another block");
        BlockCommitment memory upper = commitmentAt(HEIGHT + 75);
        bytes32[] memory path = history.inclusion(HEIGHT - 1, HEIGHT + 74);
        return report(lower, upper, IConclaveSlasher.HistoryEntry(digest, path), signers, name);
    }

    function report(
        BlockCommitment memory a,
        BlockCommitment memory b,
        IConclaveSlasher.HistoryEntry memory held,
        uint256 signers,
        string memory name
    ) private returns (uint256) {
        // As long as those of a block with transactions.
        (a.revealRoot, b.revealRoot) = (keccak256("revealed"), keccak256("revealed"));
        (a.withdrawalsRoot, b.withdrawalsRoot) = (keccak256("withdrawn"), keccak256("withdrawn"));
        if (a.height == b.height && SignBytes.commitment(domain(), a) > SignBytes.commitment(domain(), b)) {
            (a, b) = (b, a);
        }
        IConclaveSlasher.SignedCommitment memory first =
            IConclaveSlasher.SignedCommitment(a, signers, signatureOf(a, signers));
        IConclaveSlasher.SignedCommitment memory second =
            IConclaveSlasher.SignedCommitment(b, signers, signatureOf(b, signers));
        net.slasher.reportAttestations(first, second, held, 1 << member);
        return reported(name);
    }

    function reported(string memory name) private returns (uint256 gas) {
        name = string.concat("report, n = ", vm.toString(uint256(member) + 1), ", ", name);
        gas = vm.snapshotGasLastCall("settlement", name);
        (,, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(uint32(offender)));
        vm.assertEq(escrow, 10 * ETHER, "seized");
    }

    function position() private view returns (IConclaveSlasher.Position memory) {
        return IConclaveSlasher.Position(0, member, HEIGHT, ROUND);
    }

    function signed(bytes32 digest) private view returns (IConclaveSlasher.Signature memory) {
        (bytes32 r, bytes32 s) = Secrets.signConsensus(offender, digest);
        return IConclaveSlasher.Signature(r, s);
    }
}
