// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Deployed } from "../../script/Deployment.sol";
import { ElectionParameters } from "../../src/interfaces/IConclaveElection.sol";
import { Posting } from "../../src/interfaces/IConclaveInbox.sol";
import { UnbondingId } from "../../src/interfaces/IConclaveStake.sol";
import { RollupId, RollupSettings } from "../../src/interfaces/IRollupRegistry.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { BlockCommitment, Committee, Member, ValidatorId } from "../../src/lib/Types.sol";
import { HistoryTree } from "../support/HistoryTree.sol";
import { vm } from "../utils/Vm.sol";
import { Trials } from "./Trials.sol";

interface VmFees {
    function fee(uint256 basefee) external;
}

/// Everybody who acts on the contracts, honest or not; offences are in {Trials}.
contract World is Trials {
    uint16 public constant SIZE_MAX = 8;
    uint32 private constant VALIDATORS_MAX = 14;
    address public constant RELAYER = address(0x4E1);

    address[4] public delegators = [address(0xA1), address(0xA2), address(0xA3), address(0xA4)];
    bytes32[] private offered;
    bytes32 private first;
    mapping(bytes32 committeeHash => mapping(uint32 => uint256)) private takenAtOffer;
    uint64[] private entryBlocks;
    UnbondingId[] private requests;
    RollupId private rollup;

    constructor() {
        deployNetwork();
        vm.prank(address(net.timelock));
        net.election.setParameters(ElectionParameters(SIZE_MAX, 500));
        vm.deal(address(this), 1e9 ether);
        rollup = net.registry.register{ value: 0.05 ether }(RollupSettings(address(0), 0), 1);
        for (uint32 n = 1; n <= 5; ++n) {
            join(n, 20 * ETHER);
        }
        validators = 5;
        first = offer();
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        recordServices(first);
        VmFees(address(vm)).fee(10 gwei);
    }

    receive() external payable { }

    function deployed() external view returns (Deployed memory) {
        return net;
    }

    function tree() external view returns (HistoryTree) {
        return history;
    }

    function serviceCount() external view returns (uint256) {
        return services.length;
    }

    function serviceAt(uint256 index) external view returns (Service memory) {
        return services[index];
    }

    /// Entries of the queue in L1 blocks up to `number`.
    function entriesUpTo(uint64 number) external view returns (uint64 count) {
        for (uint256 i = 0; i < entryBlocks.length; ++i) {
            if (entryBlocks[i] <= number) ++count;
        }
    }

    // --- stake

    function aValidatorJoins(uint64 amount) external {
        if (validators == VALIDATORS_MAX) return;
        join(++validators, uint64(bound(amount, 8 * ETHER, 500 * ETHER)));
        ++done["join"];
    }

    function aDelegatorComes(uint256 who, uint256 validator, uint64 amount) external {
        address owner = delegators[who % 4];
        uint64 part = uint64(bound(amount, ETHER / 10, 300 * ETHER));
        vm.deal(owner, uint256(part) * 1 gwei);
        vm.prank(owner);
        try net.stake.delegate{ value: uint256(part) * 1 gwei }(pick(validator)) {
            ++done["delegate"];
        } catch { }
        vm.deal(owner, 0);
    }

    function aDelegatorLeaves(uint256 who, uint256 validator, uint256 part) external {
        address owner = delegators[who % 4];
        (uint128 shares,) = net.stake.stakeOf(pick(validator), owner);
        if (shares == 0) return;
        vm.prank(owner);
        try net.stake.requestUnbond(pick(validator), uint128(bound(part, 1, shares))) returns (
            UnbondingId id
        ) {
            requests.push(id);
            ++done["unbond"];
        } catch { }
    }

    /// So many at once that a committee cannot let all of them go.
    function aCrowdLeaves(uint256 luck) external {
        if (luck % 3 != 0) return;
        for (uint256 who = 0; who < 4; ++who) {
            for (uint32 v = 1; v <= validators; ++v) {
                (uint128 shares,) = net.stake.stakeOf(ValidatorId.wrap(v), delegators[who]);
                if (shares == 0) continue;
                vm.prank(delegators[who]);
                try net.stake.requestUnbond(ValidatorId.wrap(v), shares) returns (UnbondingId id) {
                    requests.push(id);
                } catch { }
            }
        }
        ++done["crowd"];
    }

    function anOperatorExits(uint256 validator, uint256 luck) external {
        // Rarely: a world without validators is a dull one.
        if (luck % 4 != 0) return;
        ValidatorId v = pick(validator);
        vm.prank(operator(ValidatorId.unwrap(v)));
        try net.stake.exit(v) returns (UnbondingId id) {
            requests.push(id);
            ++done["exit"];
        } catch { }
    }

    function somebodyClaims(uint256 request) external {
        if (requests.length == 0) return;
        UnbondingId id = requests[request % requests.length];
        try net.stake.claim(id) {
            ++done["claim"];
            try net.stake.claim(id) {
                broken = "a request was paid twice";
            } catch { }
        } catch { }
    }

    function aRewardArrives(uint256 validator, uint64 amount) external {
        uint64 part = uint64(bound(amount, 1, 10 * ETHER));
        try net.stake.reward{ value: uint256(part) * 1 gwei }(pick(validator)) {
            ++done["reward"];
        } catch { }
    }

    function anOperatorReturns(uint256 validator) external {
        ValidatorId v = pick(validator);
        vm.prank(operator(ValidatorId.unwrap(v)));
        try net.stake.unjail(v) {
            ++done["unjail"];
        } catch { }
    }

    // --- elections and settlement

    function anElectionIsHeld(uint256 absent) external {
        try net.election.snapshotEpoch(candidates()) returns (bytes32 hash) {
            onOffer(hash);
            ++done["offer"];
            if (absent % 4 != 0) return;
            try net.election.offerWithout(hash, 1 << (absent / 4 % SIZE_MAX)) returns (bytes32 part) {
                offered.push(part);
                snapshotTaken(part);
                ++done["exclude"];
            } catch { }
        } catch { }
    }

    function anEpochEnds(uint64 heights, uint256 which) external {
        // The first end may name the committee in office, whatever was elected since.
        bool stays = net.stake.epochCount() == 1 && which % 2 == 0;
        if (!stays && offered.length == 0) return;
        bytes32 hash = stays ? first : offered[which % offered.length];
        if (stays) ++done["stay"];
        (, bool held,) = net.election.offered(net.stake.epochCount(), hash);
        if (held && !stays) ++done["held"];
        settleEnd(settledHeight() + uint64(bound(heights, 1, 10_000)), hash);
        recordServices(hash);
        delete offered;
        ++done["epoch"];
    }

    function aCommitmentSettles(uint64 heights) external {
        settle(settledHeight() + uint64(bound(heights, 1, 10_000)));
        ++done["settle"];
    }

    /// The same quorum certifies another past, or less of the queue.
    function aQuorumTurnsOnItsPast(uint64 heights, bool onQueue) external {
        if (settledHeight() == 0) return;
        vm.roll(block.number + 1);
        uint64 height = settledHeight() + uint64(bound(heights, 2, 10_000));
        BlockCommitment memory c = commitmentAt(height);
        if (onQueue) {
            if (c.forcedCursor == 0) return;
            --c.forcedCursor;
        } else {
            history.pop();
            c = commitmentAt(height);
        }
        Posting memory p = certified(c, everyone());
        try net.inbox.commit(p) {
            broken = onQueue ? "an entry of the queue was left out" : "two histories were certified";
        } catch { }
        if (!onQueue) history.put(settledHeight() - 1, lastDigest);
        ++done["turn"];
    }

    function aTransactionIsForced(uint64 gasLimit) external {
        uint64 gas_ = uint64(bound(gasLimit, 30_000, 2_000_000));
        uint256 fee = uint256(gas_) * net.forced.price();
        try net.forced.enqueue{ value: fee }(rollup, gas_, "a transaction") {
            entryBlocks.push(uint64(block.number));
            ++done["force"];
        } catch { }
    }

    function aDepositArrives(uint64 amount) external {
        uint64 part = uint64(bound(amount, 1e6, 10 * ETHER));
        try net.vault.deposit{ value: uint256(part) * 1 gwei }(delegators[0]) {
            entryBlocks.push(uint64(block.number));
            ++done["deposit"];
        } catch { }
    }

    function aWithdrawalIsAskedFor(uint64 amount) external {
        uint256 fee = 21_000 * uint256(net.forced.price());
        try net.forced.requestWithdrawal{ value: fee }(uint64(bound(amount, 1, 10 * ETHER)), delegators[0]) {
            entryBlocks.push(uint64(block.number));
            ++done["request"];
        } catch { }
    }

    function timePasses(uint32 blocks) external {
        uint256 more = bound(blocks, 1, 20_000);
        vm.roll(block.number + more);
        vm.warp(block.timestamp + more * 12);
        ++done["time"];
    }

    function somebodyAnnouncesTheReturn() external {
        try net.forced.resume() {
            if (net.forced.escapeActive()) broken = "a return that did not end the escape";
            ++done["return"];
        } catch { }
    }

    // --- the ledger

    bytes32 private lastDigest;

    function post(Posting memory p) internal override {
        super.post(p);
        lastDigest = net.inbox.proveCommitment(proofOf(p.commitment, p.commitment.height));
    }

    function snapshotTaken(bytes32 hash) private {
        for (uint32 v = 1; v <= validators; ++v) {
            takenAtOffer[hash][v] = taken[v];
        }
    }

    function recordServices(bytes32 hash) private {
        uint64 epoch = net.stake.epochCount() - 1;
        Committee memory c = committee();
        for (uint256 i = 0; i < c.count; ++i) {
            Member memory m = CommitteeTable.member(c, i);
            uint32 v = ValidatorId.unwrap(m.validator);
            services.push(Service(epoch, v, m.power, takenAtOffer[hash][v]));
        }
    }

    /// Change and size of a committee on offer, against the one in office.
    function onOffer(bytes32 hash) private {
        offered.push(hash);
        snapshotTaken(hash);
        (Committee memory next,,) = net.election.offered(net.stake.epochCount(), hash);
        Committee memory now_ = committee();
        if (next.count > SIZE_MAX) broken = "a committee beyond its size";
        uint256 came = 0;
        uint256 went = 0;
        for (uint32 v = 1; v <= validators; ++v) {
            uint64 old = powerIn(now_, v);
            uint64 new_ = powerIn(next, v);
            if (new_ > old) came += new_ - old;
            if (new_ < old && !isOut(v)) went += old - new_;
            if (new_ > 0 && isOut(v)) broken = "an accused or jailed validator was elected";
        }
        if (came > now_.totalPower / 3) broken = "more than a third came";
        if (went > now_.totalPower / 3) broken = "more than a third went";
    }

    function isOut(uint32 v) private view returns (bool) {
        (,,,,,, bool isAccused, bool tombstoned, uint64 jailed) = net.stake.validatorOf(ValidatorId.wrap(v));
        return isAccused || tombstoned || jailed != 0;
    }

    function powerIn(Committee memory c, uint32 validator) private view returns (uint64) {
        for (uint256 i = 0; i < c.count; ++i) {
            Member memory m = CommitteeTable.member(c, i);
            if (ValidatorId.unwrap(m.validator) == validator) return m.power;
        }
        return 0;
    }
}
