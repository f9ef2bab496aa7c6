// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Names a rollup for ever.
type RollupId is uint64;

using { sameRollup as == } for RollupId global;

function sameRollup(RollupId left, RollupId right) pure returns (bool) {
    return RollupId.unwrap(left) == RollupId.unwrap(right);
}

/// What a rollup's owner says about it.
struct RollupSettings {
    /// The rollup's own contract on L1, for those who look for it; may be zero.
    address inbox;
    /// Digest of whatever its nodes agree on: the registry does not know what.
    bytes32 configuration;
}

struct Rollup {
    address owner;
    /// The first height that can have a batch of it.
    uint64 genesisHeight;
    /// The last height that can; 0 while it is open.
    uint64 lastHeight;
    RollupSettings settings;
    /// A change that was announced, and when it takes effect; 0 if there is none.
    RollupSettings announced;
    uint64 effectiveAt;
    address nextOwner;
}

/// @title The rollups that Conclave sequences
/// @notice Ids are given in order, so none is worth squatting on, and none is ever given again. Changes wait, so that
/// whoever relies on a rollup sees them coming.
interface IRollupRegistry {
    /// @notice A rollup exists, with batches from `genesisHeight` on.
    event Registered(
        RollupId indexed rollup, address indexed owner, uint64 genesisHeight, RollupSettings settings
    );
    /// @notice The settings change at `effectiveAt`, unless the owner withdraws it or announces another change
    /// before.
    event ChangeAnnounced(RollupId indexed rollup, RollupSettings settings, uint64 effectiveAt);
    /// @notice The announced change does not take place.
    event ChangeWithdrawn(RollupId indexed rollup);
    /// @notice `nextOwner` may take the rollup over; the zero address takes the offer back.
    event OwnerOffered(RollupId indexed rollup, address indexed nextOwner);
    /// @notice The rollup has a new owner, who has accepted it.
    event OwnerChanged(RollupId indexed rollup, address indexed owner);
    /// @notice The rollup has no batch above `lastHeight`, for ever.
    event Closed(RollupId indexed rollup, uint64 lastHeight);
    /// @notice Registering costs so much from now on.
    event FeeSet(uint64 feeGwei);

    /// @notice A parameter lies outside of its fixed bounds.
    error ParameterOutOfRange(bytes32 name, uint256 found);
    /// @notice No rollup has this id.
    error UnknownRollup(RollupId rollup);
    /// @notice Only the owner of the rollup may call this.
    error NotRollupOwner(RollupId rollup, address caller);
    /// @notice Only whom the owner has named may accept the rollup.
    error NotNextOwner(RollupId rollup, address caller);
    /// @notice Registering costs exactly `expectedWei`.
    error WrongFee(uint256 expectedWei, uint256 foundWei);
    /// @notice Batches begin above what has settled.
    error GenesisInThePast(uint64 settledHeight, uint64 found);
    /// @notice The rollup is closed, or about to be, and takes this no more.
    error IsClosed(RollupId rollup, uint64 lastHeight);
    /// @notice Bundles for the rollup may be under way: close it at `expectedFrom` or later.
    error ClosesTooSoon(uint64 expectedFrom, uint64 found);
    /// @notice There is no announced change.
    error NothingAnnounced(RollupId rollup);

    /// @notice Registers a rollup of the sender for exactly the fee.
    function register(RollupSettings calldata settings, uint64 genesisHeight)
        external
        payable
        returns (RollupId rollup);

    /// @notice Announces new settings; they take effect after {CHANGE_SECONDS}. A later announcement replaces an
    /// earlier one and waits anew.
    function announce(RollupId rollup, RollupSettings calldata settings) external;

    /// @notice Withdraws what was announced and has not taken effect.
    function withdrawAnnouncement(RollupId rollup) external;

    /// @notice Offers the rollup to another owner, who must accept.
    function offerOwner(RollupId rollup, address nextOwner) external;

    /// @notice Accepts a rollup.
    function acceptOwner(RollupId rollup) external;

    /// @notice Ends a rollup for ever after `lastHeight`, which is at least {CLOSE_NOTICE_HEIGHTS} above what is
    /// settled.
    function close(RollupId rollup, uint64 lastHeight) external;

    /// @notice Sets the fee for registering. For the timelock alone.
    function setFee(uint64 feeGwei) external;

    /// @notice A rollup, with a change that is due in effect.
    function rollupOf(RollupId rollup) external view returns (Rollup memory);

    /// @notice Reverts unless the rollup exists and its last height, if it has one, has not settled.
    function requireOpen(RollupId rollup) external view;

    /// @notice What registering costs.
    function fee() external view returns (uint64 feeGwei);
}
