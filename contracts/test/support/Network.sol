// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Deployed, Deployment, DeploymentConfig } from "../../script/Deployment.sol";
import { Candidate } from "../../src/interfaces/IConclaveElection.sol";
import { Head, HistoryProof, Posting } from "../../src/interfaces/IConclaveInbox.sol";
import { Keys } from "../../src/interfaces/IConclaveStake.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment, Committee, SigningDomain, ValidatorId } from "../../src/lib/Types.sol";
import { TestBase, vm } from "../utils/Vm.sol";
import { HistoryTree } from "./HistoryTree.sol";
import { Secrets } from "./Secrets.sol";

/// A network with real keys and certificates. Validator `n` is number `n` of {Secrets}, registered n-th.
abstract contract Network is TestBase {
    bytes32 internal constant NETWORK = keccak256("a network");
    bytes32 internal constant DKG = keccak256("a sharing");
    uint64 internal constant ETHER = 1e9;

    Deployed internal net;
    HistoryTree internal history;
    address internal council = address(0xC0);
    address internal relayer = address(0x4E1);

    function deployNetwork() internal {
        deployWith(Deployment.defaults(address(this), council));
    }

    function deployWith(DeploymentConfig memory config) internal {
        vm.roll(1000);
        net = Deployment.deploy(config, address(this), vm.getNonce(address(this)));
        history = new HistoryTree();
    }

    function networkId() internal view virtual returns (bytes32) {
        return NETWORK;
    }

    // --- validators

    function operator(uint256 number) internal pure returns (address) {
        return address(uint160(0x1000 + number));
    }

    function keyDomain() internal view returns (SigningDomain memory) {
        return SigningDomain(0, uint64(block.chainid), address(net.stake));
    }

    function possession(uint256 number, address owner) internal view returns (bytes memory) {
        bytes32 message = SignBytes.settlementKeyPossession(keyDomain(), owner, Secrets.settlementKey(number));
        return Secrets.possess(number, message);
    }

    function consensusProof(uint256 number, address owner) internal view returns (bytes32 r, bytes32 s) {
        bytes32 key = Secrets.keys(number).consensusKey;
        return Secrets.signConsensus(number, SignBytes.consensusKeyPossession(keyDomain(), owner, key));
    }

    function register(uint256 number, uint64 amountGwei) internal returns (ValidatorId) {
        return registerWith(number, amountGwei, 500);
    }

    function registerWith(uint256 number, uint64 amountGwei, uint16 commissionBps)
        internal
        returns (ValidatorId)
    {
        Keys memory keys = Secrets.keys(number);
        bytes memory proof = possession(number, operator(number));
        uint256 value = uint256(amountGwei) * 1 gwei;
        vm.deal(operator(number), operator(number).balance + value);
        vm.prank(operator(number));
        return net.stake.register{ value: value }(keys, proof, commissionBps);
    }

    /// Registers, proves and enlists.
    function join(uint256 number, uint64 amountGwei) internal returns (ValidatorId validator) {
        validator = register(number, amountGwei);
        (bytes32 r, bytes32 s) = consensusProof(number, operator(number));
        net.stake.proveConsensusKey(validator, Secrets.keys(number), r, s);
        net.election.enlist(validator, 0);
    }

    function joinMany(uint256 count, uint64 amountGwei) internal {
        for (uint256 n = 1; n <= count; ++n) {
            join(n, amountGwei);
        }
    }

    function delegate(address owner, ValidatorId validator, uint64 amountGwei) internal {
        uint256 value = uint256(amountGwei) * 1 gwei;
        vm.deal(owner, owner.balance + value);
        vm.prank(owner);
        net.stake.delegate{ value: value }(validator);
    }

    function unbondAll(address owner, ValidatorId validator) internal {
        (uint128 shares,) = net.stake.stakeOf(validator, owner);
        vm.prank(owner);
        net.stake.requestUnbond(validator, shares);
    }

    // --- elections

    /// Keys of everyone whom an election would choose now; validator `n` has the keys of number `n`.
    function candidates() internal view returns (Candidate[] memory list) {
        (ValidatorId[] memory members,,) = net.election.electionNow();
        list = new Candidate[](members.length);
        for (uint256 i = 0; i < members.length; ++i) {
            list[i] = Candidate(members[i], Secrets.keys(ValidatorId.unwrap(members[i])));
        }
    }

    function offer() internal returns (bytes32) {
        return net.election.snapshotEpoch(candidates());
    }

    function openNetwork() internal {
        net.inbox.open(networkId(), offer(), DKG, lastBlock());
    }

    /// The last block that is complete.
    function lastBlock() internal view returns (uint64) {
        return uint64(block.number - 1);
    }

    function committee() internal view returns (Committee memory) {
        return net.stake.committeeOf(net.stake.epochCount() - 1);
    }

    function everyone() internal view returns (uint256) {
        return (1 << committee().count) - 1;
    }

    // --- settlement

    function domain() internal view returns (SigningDomain memory) {
        return SigningDomain(networkId(), uint64(block.chainid), address(net.stake));
    }

    /// A commitment that would settle now.
    function commitmentAt(uint64 height) internal view returns (BlockCommitment memory c) {
        c.epoch = net.inbox.head().epoch;
        c.height = height;
        c.blockId = keccak256(abi.encode("block", height));
        c.historyRoot = history.root(height - 1);
        c.originNumber = uint64(block.number) - 1;
        c.originHash = blockhash(c.originNumber);
        c.forcedCursor = net.forced.entriesUpTo(c.originNumber);
    }

    function certified(BlockCommitment memory c, uint256 signers) internal view returns (Posting memory p) {
        p.commitment = c;
        p.signers = signers;
        p.signature = signatureOf(c, signers);
        uint64 settled = settledHeight();
        p.peaks = history.peaks(settled);
        if (c.height > settled) p.added = history.added(settled, c.height - 1);
    }

    function signatureOf(BlockCommitment memory c, uint256 signers) internal view returns (bytes memory) {
        return Secrets.sign(secretOf(signers), SignBytes.commitment(domain(), c));
    }

    /// The sum of the secrets of these members of the committee in office.
    function secretOf(uint256 signers) internal view returns (uint256 sum) {
        Committee memory now_ = committee();
        for (uint256 i = 0; i < now_.count; ++i) {
            if (signers >> i & 1 == 0) continue;
            uint256 number = ValidatorId.unwrap(CommitteeTable.member(now_, i).validator);
            sum = addmod(
                sum,
                Secrets.settlement(number),
                0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001
            );
        }
    }

    function post(Posting memory p) internal virtual {
        vm.prank(relayer);
        net.inbox.commit(p);
        BlockCommitment memory c = p.commitment;
        history.put(c.height - 1, SignBytes.commitment(domain(), c));
    }

    function settle(uint64 height) internal returns (BlockCommitment memory c) {
        vm.roll(block.number + 1);
        c = commitmentAt(height);
        post(certified(c, everyone()));
    }

    /// Settles the end of the epoch in office and puts the committee with this hash into office.
    function settleEnd(uint64 height, bytes32 nextCommittee) internal returns (BlockCommitment memory c) {
        vm.roll(block.number + 1);
        c = commitmentAt(height);
        (c.nextCommittee, c.dkgResult) = (nextCommittee, keccak256(abi.encode("sharing", height)));
        post(certified(c, everyone()));
    }

    function proofOf(BlockCommitment memory c, uint64 under) internal view returns (HistoryProof memory) {
        return HistoryProof(c, under, history.inclusion(c.height - 1, under));
    }

    function settledHeight() internal view returns (uint64) {
        Head memory head = net.inbox.head();
        return head.height;
    }
}
