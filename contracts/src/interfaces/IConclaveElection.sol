// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Committee, ValidatorId } from "../lib/Types.sol";
import { Keys } from "./IConclaveStake.sol";

/// The keys of a validator that an election may choose.
struct Candidate {
    ValidatorId validator;
    Keys keys;
}

/// What the timelock may change.
struct ElectionParameters {
    /// Most members of a committee that an election fills: at least four. There are fewer if fewer have the stake.
    uint16 committeeSizeMax;
    /// By how much, in ten-thousandths, an outsider's stake must exceed a member's to take its place.
    uint16 replacementMarginBps;
}

/// @title Elections: who could serve in the next epoch
/// @notice Anyone runs an election at any time; it reads the stake of that moment and offers a committee for the
/// next epoch, as a table that the quorum certificates of that epoch are checked against. Which offer takes
/// effect, if any, is up to the committee in office: it names one by its hash when it ends its epoch.
interface IConclaveElection {
    /// @notice A validator is on the list that elections read, in the place of `displaced`, which is 0 if there was
    /// room.
    event Enlisted(ValidatorId indexed validator, ValidatorId displaced);
    /// @notice A committee is on offer, or what is known of it has changed: the newest event of a hash counts.
    /// @param reduced Whether no election gave these rows, but only {offerWithout} did: anyone can leave out anyone
    /// with it, so whoever takes such an offer has to know by himself who was absent.
    event CommitteeOffered(
        uint64 indexed epoch,
        bytes32 indexed committeeHash,
        Committee committee,
        bool leaversHeld,
        bool reduced
    );
    /// @notice These parameters hold from the next election on.
    event ParametersSet(ElectionParameters parameters);

    /// @notice A parameter lies outside of its fixed bounds.
    error ParameterOutOfRange(bytes32 name, uint256 found);
    /// @notice The validator is on the list already.
    error AlreadyEnlisted(ValidatorId validator);
    /// @notice The validator has too little stake, an unproven key, or may not serve: it cannot be enlisted until
    /// that has changed.
    error NotEligible(ValidatorId validator);
    /// @notice The stake does not exceed that of the entry to be replaced by the margin; another entry may have less.
    error CannotDisplace(uint256 expectedAbove, uint256 found);
    /// @notice The list is full, and has no such place to take.
    error NoSuchPlace(uint256 place);
    /// @notice The keys of an elected validator are missing, or are not those that it has registered.
    error KeysUnknown(ValidatorId validator);
    /// @notice An election would choose nobody: no enlisted validator is eligible.
    error NoCandidates();
    /// @notice The same committee is on offer for this epoch, on the same terms.
    error AlreadyOffered(uint64 epoch, bytes32 committeeHash);
    /// @notice No committee with this hash is on offer for this epoch.
    error NotOffered(uint64 epoch, bytes32 committeeHash);
    /// @notice Members were left out of this offer before: a third is the most in one epoch.
    error AlreadyReduced(bytes32 committeeHash);
    /// @notice More than a third of the power would be left out.
    error ExcludedTooMuch(uint64 max, uint64 found);
    /// @notice The bitmap names nobody, or somebody beyond the committee.
    error ExcludedUnknown(uint256 absent, uint256 count);

    /// @notice Puts an eligible validator on the list that elections read. If the list is full, it takes the place
    /// of the entry at `place`, whose stake it must exceed by the replacement margin; an entry that cannot be
    /// elected counts as having none.
    function enlist(ValidatorId validator, uint256 place) external;

    /// @notice Elects and offers a committee for the next epoch, from the stake of this moment.
    /// @param candidates Keys of at least everyone who is elected, ascending by validator.
    function snapshotEpoch(Candidate[] calldata candidates) external returns (bytes32 committeeHash);

    /// @notice Offers an offered committee once more, without the members in `absent` (bit i is member i): those
    /// who did not acknowledge their share of the key, or did not vote. Whether it takes effect is up to the
    /// committee in office; if it does, they are jailed, unless there is another way to the same committee.
    function offerWithout(bytes32 committeeHash, uint256 absent) external returns (bytes32 remaining);

    /// @notice Changes the parameters, within fixed bounds. For the timelock alone.
    function setParameters(ElectionParameters calldata parameters) external;

    /// @notice A committee that is on offer for `epoch`; reverts if there is none with this hash. The committee that
    /// serves in epoch 0 is on offer for epoch 1 without anybody's doing, and nobody is absent from it.
    /// @return committee Where its table is.
    /// @return leaversHeld Whether members serve in it with more than they still have bonded.
    /// @return absent Who was left out of it.
    function offered(uint64 epoch, bytes32 committeeHash)
        external
        view
        returns (Committee memory committee, bool leaversHeld, ValidatorId[] memory absent);

    /// @notice Who an election at this moment would choose, ascending by validator, with their power.
    function electionNow()
        external
        view
        returns (ValidatorId[] memory members, uint64[] memory powers, bool leaversHeld);

    /// @notice The list that elections read, in no order.
    function enlistedValidators() external view returns (ValidatorId[] memory);

    /// @notice The block in which this contract was made. The stake contract is made after it, so no block before has
    /// anything that was registered, and whoever looks for keys need not look further back.
    function DEPLOYED_AT() external view returns (uint64);

    /// @notice What the timelock has set.
    function electionParameters() external view returns (ElectionParameters memory);
}
