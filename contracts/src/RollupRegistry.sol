// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "./Timelocked.sol";
import { IConclaveInbox } from "./interfaces/IConclaveInbox.sol";
import { IFeeVault } from "./interfaces/IFeeVault.sol";
import { IRollupRegistry, Rollup, RollupId, RollupSettings } from "./interfaces/IRollupRegistry.sol";

/// Who the rollups are. A change of settings waits in public; ids, genesis heights and ends never change.
contract RollupRegistry is IRollupRegistry, Timelocked {
    /// As long as the timelock: time to move away from a rollup whose owner turned on it.
    uint64 public constant CHANGE_SECONDS = 7 days;
    /// Blocks above the settled one may hold bundles for the rollup already. At two heights a second this is more
    /// than half an hour.
    uint64 public constant CLOSE_NOTICE_HEIGHTS = 4096;
    uint64 private constant FEE_GWEI_MAX = 1 ether / 1 gwei;

    IConclaveInbox public immutable INBOX;
    IFeeVault public immutable VAULT;

    uint64 private nextId;
    /// @inheritdoc IRollupRegistry
    uint64 public fee;
    mapping(RollupId rollup => Rollup) private rollups;

    /// @param firstId The first id given: ids below are for nobody.
    constructor(address timelock, IConclaveInbox inbox, IFeeVault vault, uint64 firstId, uint64 feeGwei)
        Timelocked(timelock)
    {
        INBOX = inbox;
        VAULT = vault;
        nextId = firstId == 0 ? 1 : firstId;
        setFeeWithinBounds(feeGwei);
    }

    /// @inheritdoc IRollupRegistry
    function register(RollupSettings calldata settings, uint64 genesisHeight)
        external
        payable
        returns (RollupId rollup)
    {
        uint256 expected = uint256(fee) * 1 gwei;
        if (msg.value != expected) revert WrongFee(expected, msg.value);
        uint64 settled = INBOX.head().height;
        if (genesisHeight <= settled) revert GenesisInThePast(settled, genesisHeight);
        rollup = RollupId.wrap(nextId++);
        Rollup storage record = rollups[rollup];
        (record.owner, record.genesisHeight, record.settings) = (msg.sender, genesisHeight, settings);
        emit Registered(rollup, msg.sender, genesisHeight, settings);
        VAULT.fund{ value: msg.value }();
    }

    /// @inheritdoc IRollupRegistry
    function announce(RollupId rollup, RollupSettings calldata settings) external {
        Rollup storage record = ownedAndOpen(rollup);
        takeEffect(record);
        record.announced = settings;
        record.effectiveAt = uint64(block.timestamp) + CHANGE_SECONDS;
        emit ChangeAnnounced(rollup, settings, record.effectiveAt);
    }

    /// @inheritdoc IRollupRegistry
    function withdrawAnnouncement(RollupId rollup) external {
        Rollup storage record = ownedAndOpen(rollup);
        takeEffect(record);
        if (record.effectiveAt == 0) revert NothingAnnounced(rollup);
        delete record.announced;
        delete record.effectiveAt;
        emit ChangeWithdrawn(rollup);
    }

    /// @inheritdoc IRollupRegistry
    function offerOwner(RollupId rollup, address nextOwner) external {
        ownedAndOpen(rollup).nextOwner = nextOwner;
        emit OwnerOffered(rollup, nextOwner);
    }

    /// @inheritdoc IRollupRegistry
    function acceptOwner(RollupId rollup) external {
        Rollup storage record = known(rollup);
        if (record.nextOwner != msg.sender) revert NotNextOwner(rollup, msg.sender);
        record.owner = msg.sender;
        delete record.nextOwner;
        emit OwnerChanged(rollup, msg.sender);
    }

    /// @inheritdoc IRollupRegistry
    function close(RollupId rollup, uint64 lastHeight) external {
        Rollup storage record = ownedAndOpen(rollup);
        uint64 expectedFrom = INBOX.head().height + CLOSE_NOTICE_HEIGHTS;
        if (lastHeight < expectedFrom) revert ClosesTooSoon(expectedFrom, lastHeight);
        record.lastHeight = lastHeight;
        emit Closed(rollup, lastHeight);
    }

    /// @inheritdoc IRollupRegistry
    function setFee(uint64 feeGwei) external onlyTimelock {
        setFeeWithinBounds(feeGwei);
    }

    /// @inheritdoc IRollupRegistry
    function rollupOf(RollupId rollup) external view returns (Rollup memory record) {
        record = known(rollup);
        if (!isDue(record.effectiveAt)) return record;
        record.settings = record.announced;
        (record.announced, record.effectiveAt) = (RollupSettings(address(0), 0), 0);
    }

    /// @inheritdoc IRollupRegistry
    function requireOpen(RollupId rollup) external view {
        uint64 lastHeight = known(rollup).lastHeight;
        // To announce an end is not to reach it: until then the queue is the users' way out.
        if (lastHeight != 0 && INBOX.head().height >= lastHeight) revert IsClosed(rollup, lastHeight);
    }

    function known(RollupId rollup) private view returns (Rollup storage record) {
        record = rollups[rollup];
        if (record.owner == address(0)) revert UnknownRollup(rollup);
    }

    function ownedAndOpen(RollupId rollup) private view returns (Rollup storage record) {
        record = known(rollup);
        if (record.owner != msg.sender) revert NotRollupOwner(rollup, msg.sender);
        if (record.lastHeight != 0) revert IsClosed(rollup, record.lastHeight);
    }

    function isDue(uint64 effectiveAt) private view returns (bool) {
        return effectiveAt != 0 && effectiveAt <= block.timestamp;
    }

    /// Writes down a change that is due, before the next one replaces it.
    function takeEffect(Rollup storage record) private {
        if (!isDue(record.effectiveAt)) return;
        record.settings = record.announced;
        delete record.announced;
        delete record.effectiveAt;
    }

    function setFeeWithinBounds(uint64 feeGwei) private {
        if (feeGwei == 0 || feeGwei > FEE_GWEI_MAX) revert ParameterOutOfRange("feeGwei", feeGwei);
        fee = feeGwei;
        emit FeeSet(feeGwei);
    }
}
