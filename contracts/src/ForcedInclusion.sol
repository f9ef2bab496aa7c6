// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Address } from "@openzeppelin/contracts/utils/Address.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import { SafeCastLib } from "solady/utils/SafeCastLib.sol";

import { Timelocked } from "./Timelocked.sol";
import { Head, IConclaveInbox, InboxState } from "./interfaces/IConclaveInbox.sol";
import { IFeeVault } from "./interfaces/IFeeVault.sol";
import { Escape, ForcedParameters, IForcedInclusion } from "./interfaces/IForcedInclusion.sol";
import { IRollupRegistry, RollupId } from "./interfaces/IRollupRegistry.sol";

/// The forced queue and the escape. It holds no money: fees go to the pot that pays relayers. It cannot be paused,
/// and the bounds on its parameters keep it usable whatever the timelock decides.
contract ForcedInclusion is IForcedInclusion, Timelocked, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace208;

    /// What the newest L1 block with a transaction has added so far, and the queue's length.
    struct Tail {
        uint64 count;
        uint48 number;
        uint64 priceWei;
        uint8 entries;
        uint8 deposits;
        uint32 bytesUsed;
        uint32 gasUsed;
    }

    /// What any EVM transaction costs, and each of its bytes.
    uint64 private constant GAS_BASE = 21_000;
    uint64 private constant GAS_PER_BYTE = 16;
    /// A price changes by an eighth an L1 block at most.
    uint256 private constant PRICE_CHANGE_DENOMINATOR = 8;
    /// After so many idle blocks any price is at its least: (7/8)^400 < 2^-64.
    uint256 private constant IDLE_BLOCKS_MAX = 400;
    uint64 private constant PRICE_MIN_WEI_MAX = 100 gwei;
    uint32 private constant BYTES_MAX = 1 << 20;
    uint32 private constant GAS_MAX_MIN = 1_000_000;
    uint32 private constant ENTRY_BYTES_MIN = 4096;
    /// Below, a missed relay would look like censorship.
    uint32 private constant ESCAPE_DELAY_MIN = 16;
    /// A week of L1 blocks: nobody may be locked in for longer.
    uint32 private constant ESCAPE_DELAY_MAX = 50_400;

    IConclaveInbox public immutable INBOX;
    IFeeVault public immutable VAULT;
    IRollupRegistry public immutable REGISTRY;

    /// The parameters, and what settling has to know besides, in one slot.
    struct Settings {
        uint8 entriesMax;
        uint8 depositsMax;
        uint32 bytesMax;
        uint32 gasMax;
        uint32 entryBytesMax;
        uint64 priceMinWei;
        uint32 escapeDelayBlocks;
        // Since when the escape delay is what it is: no block before is judged by it.
        uint40 delaySetAt;
        // Whether escape was latched and nobody has announced the return.
        bool away;
    }

    Settings private settings;
    Tail private tail;
    bytes32 private runningHash;
    Checkpoints.Trace208 private counts;
    Escape[] private escapes;

    constructor(
        address timelock,
        IConclaveInbox inbox,
        IFeeVault vault,
        IRollupRegistry registry,
        ForcedParameters memory parameters
    ) Timelocked(timelock) {
        INBOX = inbox;
        VAULT = vault;
        REGISTRY = registry;
        setWithinBounds(parameters);
    }

    /// @inheritdoc IForcedInclusion
    function enqueue(RollupId rollup, uint64 gasLimit, bytes calldata transaction)
        external
        payable
        nonReentrant
        returns (uint64 index)
    {
        requireWellFormed(gasLimit, transaction);
        REGISTRY.requireOpen(rollup);
        (Tail memory now_, uint256 fee) = takePlace(gasLimit, transaction.length);
        index = now_.count;
        bytes32 entryHash = keccak256(
            abi.encodePacked(
                "conclave/forced/v1",
                index,
                uint64(block.number),
                RollupId.unwrap(rollup),
                gasLimit,
                keccak256(transaction)
            )
        );
        append(now_, entryHash);
        emit TransactionForced(index, rollup, msg.sender, gasLimit, transaction, entryHash);
        pay(fee);
    }

    /// @inheritdoc IForcedInclusion
    function requestWithdrawal(uint64 amountGwei, address recipient)
        external
        payable
        nonReentrant
        returns (uint64 index)
    {
        if (amountGwei == 0) revert NothingRequested();
        if (recipient == address(0)) revert NoRecipient();
        // It asks nothing of a rollup, but a place it takes like any other entry that anyone can make.
        (Tail memory now_, uint256 fee) = takePlace(GAS_BASE, 0);
        index = now_.count;
        bytes32 entryHash = keccak256(
            abi.encodePacked(
                "conclave/withdraw/v1", index, uint64(block.number), msg.sender, recipient, amountGwei
            )
        );
        append(now_, entryHash);
        emit WithdrawalRequested(index, msg.sender, recipient, amountGwei, entryHash);
        pay(fee);
    }

    /// @inheritdoc IForcedInclusion
    function enqueueDeposit(address payer, uint64 amountGwei) external returns (uint64 index) {
        if (msg.sender != address(VAULT)) revert NotVault(msg.sender);
        Tail memory now_ = tailNow();
        // Deposits come back, so they are cheap to make: they have places of their own.
        if (now_.deposits >= settings.depositsMax) revert BlockIsFull(uint64(block.number));
        ++now_.deposits;
        index = now_.count;
        bytes32 entryHash = keccak256(
            abi.encodePacked("conclave/deposit/v1", index, uint64(block.number), payer, amountGwei)
        );
        append(now_, entryHash);
        emit DepositQueued(index, payer, amountGwei, entryHash);
    }

    /// @inheritdoc IForcedInclusion
    function beforeSettling(uint64 settledOrigin, uint64 origin) external returns (uint64 cursor) {
        if (msg.sender != address(INBOX)) revert NotInbox(msg.sender);
        Settings memory s = settings;
        if (!s.away && block.number >= dueAt(s, settledOrigin)) latchAt(s, INBOX.head());
        // Mostly nothing was queued since the origin, and the search is spared.
        return tail.number <= origin ? tail.count : entriesUpTo(origin);
    }

    /// @inheritdoc IForcedInclusion
    function latch() external {
        Head memory settled = INBOX.head();
        Settings memory s = settings;
        if (s.away || !isOverdue(s, settled)) revert EscapeNotDue();
        latchAt(s, settled);
    }

    /// @inheritdoc IForcedInclusion
    function resume() external {
        if (!settings.away) revert EscapeNotActive();
        Head memory settled = INBOX.head();
        // Half the delay, so that the next late commitment does not end the return at once.
        uint256 margin = settings.escapeDelayBlocks / 2;
        if (settled.state != InboxState.Open || settled.origin + margin < block.number) {
            revert StillBehind(settled.origin, uint64(block.number));
        }
        settings.away = false;
        Escape storage away = escapes[escapes.length - 1];
        (away.resumedAt, away.resumePoint) = (uint64(block.number), tail.count);
        emit Returned(escapes.length - 1, away.resumedAt, away.resumePoint, settled.height);
    }

    /// @inheritdoc IForcedInclusion
    function setParameters(ForcedParameters calldata parameters) external onlyTimelock {
        // What is due by the old delay stays due.
        Head memory settled = INBOX.head();
        Settings memory s = settings;
        if (!s.away && isOverdue(s, settled)) latchAt(s, settled);
        setWithinBounds(parameters);
    }

    /// @inheritdoc IForcedInclusion
    function escapeActive() external view returns (bool) {
        Settings memory s = settings;
        return s.away || isOverdue(s, INBOX.head());
    }

    /// @inheritdoc IForcedInclusion
    function escapeCount() external view returns (uint256) {
        return escapes.length;
    }

    /// @inheritdoc IForcedInclusion
    function escapeAt(uint256 index) external view returns (Escape memory) {
        return escapes[index];
    }

    /// @inheritdoc IForcedInclusion
    function entriesUpTo(uint64 number) public view returns (uint64) {
        // Lengths were 64 bits wide when they were stored.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(counts.upperLookupRecent(SafeCastLib.toUint48(number)));
    }

    /// @inheritdoc IForcedInclusion
    function queue() external view returns (uint64 count, bytes32 hash) {
        return (tail.count, runningHash);
    }

    /// @inheritdoc IForcedInclusion
    function price() external view returns (uint64) {
        return tailNow().priceWei;
    }

    /// @inheritdoc IForcedInclusion
    function forcedParameters() external view returns (ForcedParameters memory) {
        Settings memory s = settings;
        return ForcedParameters({
            entriesMax: s.entriesMax,
            depositsMax: s.depositsMax,
            bytesMax: s.bytesMax,
            gasMax: s.gasMax,
            entryBytesMax: s.entryBytesMax,
            priceMinWei: s.priceMinWei,
            escapeDelayBlocks: s.escapeDelayBlocks
        });
    }

    function requireWellFormed(uint64 gasLimit, bytes calldata transaction) private view {
        if (transaction.length == 0) revert EmptyTransaction();
        if (transaction.length > settings.entryBytesMax) {
            revert EntryTooLarge(settings.entryBytesMax, transaction.length);
        }
        // Without a floor the queue could be filled with work that nobody pays for.
        uint64 floor = GAS_BASE + GAS_PER_BYTE * uint64(transaction.length);
        if (gasLimit < floor) revert GasTooLow(floor, gasLimit);
    }

    /// One more place among what this block adds for a fee; what it costs.
    function takePlace(uint64 gasLimit, uint256 size) private view returns (Tail memory now_, uint256 fee) {
        now_ = tailNow();
        fee = uint256(gasLimit) * now_.priceWei;
        if (msg.value < fee) revert FeeTooLow(fee, msg.value);
        uint256 bytesUsed = now_.bytesUsed + size;
        uint256 gasUsed = now_.gasUsed + gasLimit;
        if (now_.entries >= settings.entriesMax || bytesUsed > settings.bytesMax || gasUsed > settings.gasMax)
        {
            revert BlockIsFull(uint64(block.number));
        }
        ++now_.entries;
        (now_.bytesUsed, now_.gasUsed) = (uint32(bytesUsed), uint32(gasUsed));
    }

    function pay(uint256 fee) private {
        VAULT.fund{ value: fee }();
        if (msg.value > fee) Address.sendValue(payable(msg.sender), msg.value - fee);
    }

    /// The tail as this block finds it: empty, and at this block's price, unless somebody was here already.
    function tailNow() private view returns (Tail memory now_) {
        now_ = tail;
        if (now_.number != block.number) {
            now_.priceWei = nextPrice(now_.priceWei, fullness(now_), block.number - now_.number);
            (now_.entries, now_.deposits, now_.bytesUsed, now_.gasUsed) = (0, 0, 0, 0);
            now_.number = uint48(block.number);
        }
        if (now_.priceWei < settings.priceMinWei) now_.priceWei = settings.priceMinWei;
    }

    /// How much of a block was used, as gas: whichever of its gas, its places and its bytes was used the most. Each
    /// alone shuts the queue to everyone else.
    function fullness(Tail memory used) private view returns (uint256 gasUsed) {
        gasUsed = used.gasUsed;
        uint256 places = uint256(settings.gasMax) * used.entries / settings.entriesMax;
        if (places > gasUsed) gasUsed = places;
        uint256 size = uint256(settings.gasMax) * used.bytesUsed / settings.bytesMax;
        if (size > gasUsed) gasUsed = size;
    }

    /// The price after a block that used `gasUsed`, and idle ones up to `elapsed` blocks later. Half a block's gas
    /// keeps it; who fills block after block doubles it every six.
    function nextPrice(uint64 priceWei, uint256 gasUsed, uint256 elapsed) private view returns (uint64) {
        uint256 target = settings.gasMax / 2;
        uint256 next = priceWei;
        if (gasUsed > target) {
            next += (next * (gasUsed - target) / target + PRICE_CHANGE_DENOMINATOR - 1)
                / PRICE_CHANGE_DENOMINATOR;
        } else {
            next -= next * (target - gasUsed) / target / PRICE_CHANGE_DENOMINATOR;
        }
        uint256 idle = elapsed - 1 < IDLE_BLOCKS_MAX ? elapsed - 1 : IDLE_BLOCKS_MAX;
        for (; idle > 0 && next > settings.priceMinWei; --idle) {
            next -= (next + PRICE_CHANGE_DENOMINATOR - 1) / PRICE_CHANGE_DENOMINATOR;
        }
        return next > type(uint64).max ? type(uint64).max : uint64(next);
    }

    function append(Tail memory now_, bytes32 entryHash) private {
        ++now_.count;
        tail = now_;
        runningHash = keccak256(abi.encodePacked(runningHash, entryHash));
        counts.push(uint48(block.number), now_.count);
    }

    /// The first block at which it counts as censorship that nothing newer has settled.
    function dueAt(Settings memory s, uint64 settledOrigin) private pure returns (uint256 due) {
        due = uint256(settledOrigin) + s.escapeDelayBlocks + 1;
        if (due < s.delaySetAt) due = s.delaySetAt;
    }

    function isOverdue(Settings memory s, Head memory settled) private view returns (bool) {
        return settled.state != InboxState.Closed && block.number >= dueAt(s, settled.origin);
    }

    function latchAt(Settings memory s, Head memory settled) private {
        settings.away = true;
        uint64 at = uint64(dueAt(s, settled.origin));
        escapes.push(
            Escape({
                latchedAt: at, height: settled.height, cursor: settled.cursor, resumedAt: 0, resumePoint: 0
            })
        );
        emit EscapeLatched(escapes.length - 1, at, settled.height, settled.cursor);
    }

    function setWithinBounds(ForcedParameters memory p) private {
        if (p.entriesMax == 0) revert ParameterOutOfRange("entriesMax", 0);
        if (p.depositsMax == 0) revert ParameterOutOfRange("depositsMax", 0);
        if (p.bytesMax > BYTES_MAX) revert ParameterOutOfRange("bytesMax", p.bytesMax);
        if (p.gasMax < GAS_MAX_MIN) revert ParameterOutOfRange("gasMax", p.gasMax);
        if (p.entryBytesMax < ENTRY_BYTES_MIN || p.entryBytesMax > p.bytesMax) {
            revert ParameterOutOfRange("entryBytesMax", p.entryBytesMax);
        }
        if (GAS_BASE + GAS_PER_BYTE * uint64(p.entryBytesMax) > p.gasMax) {
            revert ParameterOutOfRange("gasMax", p.gasMax);
        }
        if (p.priceMinWei == 0 || p.priceMinWei > PRICE_MIN_WEI_MAX) {
            revert ParameterOutOfRange("priceMinWei", p.priceMinWei);
        }
        if (p.escapeDelayBlocks < ESCAPE_DELAY_MIN || p.escapeDelayBlocks > ESCAPE_DELAY_MAX) {
            revert ParameterOutOfRange("escapeDelayBlocks", p.escapeDelayBlocks);
        }
        settings = Settings({
            entriesMax: p.entriesMax,
            depositsMax: p.depositsMax,
            bytesMax: p.bytesMax,
            gasMax: p.gasMax,
            entryBytesMax: p.entryBytesMax,
            priceMinWei: p.priceMinWei,
            escapeDelayBlocks: p.escapeDelayBlocks,
            delaySetAt: uint40(block.number),
            away: settings.away
        });
        emit ParametersSet(p);
    }
}
