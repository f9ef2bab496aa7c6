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

    uint16[4] private sizes = [4, 25, 64, 100];
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

    /// The aim, whoever signed: a sum of keys costs most if it is of half of them, and two of them if they are of other
    /// halves.
    function test_gas_of_attestations_of_one_height_reported() public {
        for (uint256 i = 0; i < sizes.length; ++i) {
            open(sizes[i]);
            attestations(1 << member, 1 << member, "two attestations, one signer");
            open(sizes[i]);
            attestations(half(), otherHalf(), "two attestations, half absent");
            open(sizes[i]);
            attestations(certifiers(), certifiers(), "two attestations, a third absent");
        }
        open(100);
        attestations(everyone(), everyone(), "two attestations, all signers");
    }

    function test_gas_of_attestations_of_two_heights_reported() public {
        for (uint256 i = 0; i < sizes.length; ++i) {
            open(sizes[i]);
            twoHeights(1 << member, 1 << member, "attestations of two heights, one signer");
            open(sizes[i]);
            twoHeights(half(), otherHalf(), "attestations of two heights, half absent");
            open(sizes[i]);
            twoHeights(certifiers(), certifiers(), "attestations of two heights, a third absent");
        }
        open(100);
        twoHeights(everyone(), everyone(), "attestations of two heights, all signers");
    }

    /// The offender, and of the others the first or the last ones.
    function half() private view returns (uint256) {
        return 1 << member | ((1 << (member + 1) / 2 - 1) - 1);
    }

    function otherHalf() private view returns (uint256) {
        uint256 count = uint256(member + 1) / 2;
        return ((1 << count) - 1) << (member + 1 - count);
    }

    function certifiers() private view returns (uint256) {
        return everyone() ^ ((1 << (member / 3)) - 1);
    }

    function attestations(uint256 left, uint256 right, string memory name) private {
        BlockCommitment memory a = commitmentAt(HEIGHT);
        BlockCommitment memory b = commitmentAt(HEIGHT);
        b.blockId = keccak256("another block");
        IConclaveSlasher.HistoryEntry memory nothing;
        report(a, b, nothing, left, right, name);
    }

    /// The upper one is of a history that holds another commitment at the height of the lower one.
    function twoHeights(uint256 left, uint256 right, string memory name) private {
        BlockCommitment memory lower = commitmentAt(HEIGHT);
        bytes32 digest = SignBytes.commitment(domain(), lower);
        history.put(HEIGHT - 1, digest);
        lower.blockId = keccak256("another block");
        BlockCommitment memory upper = commitmentAt(HEIGHT + 75);
        bytes32[] memory path = history.inclusion(HEIGHT - 1, HEIGHT + 74);
        report(lower, upper, IConclaveSlasher.HistoryEntry(digest, path), left, right, name);
    }

    function report(
        BlockCommitment memory a,
        BlockCommitment memory b,
        IConclaveSlasher.HistoryEntry memory held,
        uint256 left,
        uint256 right,
        string memory name
    ) private {
        // As long as those of a block with transactions.
        (a.revealRoot, b.revealRoot) = (keccak256("revealed"), keccak256("revealed"));
        (a.withdrawalsRoot, b.withdrawalsRoot) = (keccak256("withdrawn"), keccak256("withdrawn"));
        if (a.height == b.height && SignBytes.commitment(domain(), a) > SignBytes.commitment(domain(), b)) {
            (a, b) = (b, a);
        }
        IConclaveSlasher.SignedCommitment memory first =
            IConclaveSlasher.SignedCommitment(a, left, signatureOf(a, left));
        IConclaveSlasher.SignedCommitment memory second =
            IConclaveSlasher.SignedCommitment(b, right, signatureOf(b, right));
        net.slasher.reportAttestations(first, second, held, 1 << member);
        vm.assertLe(reported(name), AIM, name);
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
