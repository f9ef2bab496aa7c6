// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibSort } from "solady/utils/LibSort.sol";

import { Timelocked } from "./Timelocked.sol";
import { Candidate, ElectionParameters, IConclaveElection } from "./interfaces/IConclaveElection.sol";
import { IConclaveStake, Keys, Standing } from "./interfaces/IConclaveStake.sol";
import { ISlashable } from "./interfaces/ISlashable.sol";
import { CommitteeTable } from "./lib/CommitteeTable.sol";
import { Committee, Member, ValidatorId } from "./lib/Types.sol";
import { Election } from "./stake/Election.sol";

/// Elections over the stake of one ConclaveStake, and the committees they offer. It holds no money and cannot
/// move any; the rules are in {Election}.
contract ConclaveElection is IConclaveElection, Timelocked {
    struct Offer {
        Committee committee;
        bool held;
        // The offer it is a part of, and who of it is left out.
        bytes32 whole;
        uint256 absent;
    }

    /// An election reads the whole list: this bounds it.
    uint256 public constant ENLISTED_MAX = 256;
    /// As few as outlast the fault of one. With fewer places elections would lead to whoever has most.
    uint16 private constant COMMITTEE_SIZE_MIN = 4;
    uint16 private constant MARGIN_BPS_MAX = 5000;
    uint256 private constant BPS = 10_000;

    IConclaveStake public immutable STAKE;
    /// @inheritdoc IConclaveElection
    uint64 public immutable DEPLOYED_AT = uint64(block.number);

    ElectionParameters private settings;
    ValidatorId[] private enlisted;
    mapping(ValidatorId validator => bool) private isEnlisted;
    mapping(uint64 epoch => mapping(bytes32 committeeHash => Offer)) private offers;

    constructor(address timelock, IConclaveStake stake, ElectionParameters memory parameters)
        Timelocked(timelock)
    {
        if (address(stake) == address(0)) revert ZeroAddress();
        STAKE = stake;
        setWithinBounds(parameters);
    }

    /// @inheritdoc IConclaveElection
    function enlist(ValidatorId validator, uint256 place) external {
        if (isEnlisted[validator]) revert AlreadyEnlisted(validator);
        Standing memory own = standingOf(validator);
        if (!own.eligible) revert NotEligible(validator);
        isEnlisted[validator] = true;
        if (enlisted.length < ENLISTED_MAX) {
            enlisted.push(validator);
            emit Enlisted(validator, ValidatorId.wrap(0));
            return;
        }
        if (place >= ENLISTED_MAX) revert NoSuchPlace(place);
        ValidatorId displaced = enlisted[place];
        Standing memory other = standingOf(displaced);
        uint256 bar = other.eligible ? other.stakeGwei * (BPS + settings.replacementMarginBps) / BPS : 0;
        if (own.stakeGwei <= bar) revert CannotDisplace(bar, own.stakeGwei);
        delete isEnlisted[displaced];
        enlisted[place] = validator;
        emit Enlisted(validator, displaced);
    }

    /// @inheritdoc IConclaveElection
    function snapshotEpoch(Candidate[] calldata candidates) external returns (bytes32 committeeHash) {
        (Election.Contender[] memory all, uint64[] memory powers, bool held) = elect();
        Committee memory committee;
        (committee, committeeHash) = CommitteeTable.write(membersOf(all, powers, candidates));
        offer(committeeHash, Offer({ committee: committee, held: held, whole: 0, absent: 0 }));
    }

    /// @inheritdoc IConclaveElection
    function offerWithout(bytes32 committeeHash, uint256 absent) external returns (bytes32 remaining) {
        uint64 epoch = STAKE.epochCount();
        Offer memory whole = offers[epoch][committeeHash];
        if (whole.committee.count == 0) revert NotOffered(epoch, committeeHash);
        // One exclusion of one election: a chain of them could shrink a committee to a clique.
        if (whole.whole != 0) revert AlreadyReduced(committeeHash);
        uint256 count = whole.committee.count;
        if (absent == 0 || absent >> count != 0) revert ExcludedUnknown(absent, count);
        (Member[] memory members, uint64 excluded) = without(whole.committee, absent);
        uint64 max = whole.committee.totalPower / 3;
        if (excluded > max) revert ExcludedTooMuch(max, excluded);
        Committee memory committee;
        (committee, remaining) = CommitteeTable.write(members);
        offer(
            remaining, Offer({ committee: committee, held: whole.held, whole: committeeHash, absent: absent })
        );
    }

    /// @inheritdoc IConclaveElection
    function setParameters(ElectionParameters calldata parameters) external onlyTimelock {
        setWithinBounds(parameters);
    }

    /// @inheritdoc IConclaveElection
    function offered(uint64 epoch, bytes32 committeeHash)
        external
        view
        returns (Committee memory committee, bool leaversHeld, ValidatorId[] memory absent)
    {
        Offer memory made = offerFor(epoch, committeeHash);
        (committee, leaversHeld) = (made.committee, made.held);
        if (made.absent != 0) absent = membersIn(offers[epoch][made.whole].committee, made.absent);
    }

    /// @inheritdoc IConclaveElection
    function electionNow()
        external
        view
        returns (ValidatorId[] memory members, uint64[] memory powers, bool leaversHeld)
    {
        Election.Contender[] memory all;
        uint64[] memory everyone;
        (all, everyone, leaversHeld) = elect();
        uint256 count = countOf(everyone);
        members = new ValidatorId[](count);
        powers = new uint64[](count);
        uint256 at = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (everyone[i] == 0) continue;
            (members[at], powers[at]) = (ValidatorId.wrap(all[i].validator), everyone[i]);
            ++at;
        }
    }

    /// @inheritdoc IConclaveElection
    function enlistedValidators() external view returns (ValidatorId[] memory) {
        return enlisted;
    }

    /// @inheritdoc IConclaveElection
    function electionParameters() external view returns (ElectionParameters memory) {
        return settings;
    }

    function elect()
        private
        view
        returns (Election.Contender[] memory all, uint64[] memory powers, bool held)
    {
        all = contenders();
        (powers, held) = Election.elect(all, settings.committeeSizeMax, settings.replacementMarginBps);
    }

    function standingOf(ValidatorId validator) private view returns (Standing memory) {
        ValidatorId[] memory one = new ValidatorId[](1);
        one[0] = validator;
        return STAKE.standingsOf(one)[0];
    }

    /// Everyone who may be chosen and everyone in office, ascending by validator.
    function contenders() private view returns (Election.Contender[] memory all) {
        uint256[] memory seats = seatsAndListings();
        ValidatorId[] memory ids = new ValidatorId[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            ids[i] = ValidatorId.wrap(uint32(seats[i] >> 65));
        }
        Standing[] memory standings = STAKE.standingsOf(ids);
        all = new Election.Contender[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            all[i] = Election.Contender({
                validator: ValidatorId.unwrap(ids[i]),
                stake: standings[i].stakeGwei,
                power: uint64(seats[i]),
                eligible: seats[i] >> 64 & 1 == 1 && standings[i].eligible,
                forcedOut: standings[i].forcedOut
            });
        }
    }

    /// For each validator that has a seat or is enlisted, ascending: id << 65 | enlisted << 64 | power.
    function seatsAndListings() private view returns (uint256[] memory words) {
        uint64 epochs = STAKE.epochCount();
        Committee memory committee;
        if (epochs > 0) committee = ISlashable(address(STAKE)).committeeOf(epochs - 1);
        uint256 listed = enlisted.length;
        words = new uint256[](listed + committee.count);
        for (uint256 i = 0; i < listed; ++i) {
            words[i] = uint256(ValidatorId.unwrap(enlisted[i])) << 65 | 1 << 64;
        }
        for (uint256 i = 0; i < committee.count; ++i) {
            Member memory member = CommitteeTable.member(committee, i);
            words[listed + i] = uint256(ValidatorId.unwrap(member.validator)) << 65 | member.power;
        }
        LibSort.sort(words);
        // A seat sorts before the listing of the same validator: the two become one word.
        uint256 count = 0;
        for (uint256 i = 0; i < words.length; ++i) {
            bool same = count > 0 && words[count - 1] >> 65 == words[i] >> 65;
            if (same) words[count - 1] |= words[i];
            else words[count++] = words[i];
        }
        assembly ("memory-safe") {
            mstore(words, count)
        }
    }

    function countOf(uint64[] memory powers) private pure returns (uint256 count) {
        for (uint256 i = 0; i < powers.length; ++i) {
            if (powers[i] > 0) ++count;
        }
    }

    /// The elected as rows of a table.
    function membersOf(
        Election.Contender[] memory all,
        uint64[] memory powers,
        Candidate[] calldata candidates
    ) private view returns (Member[] memory members) {
        uint256 count = countOf(powers);
        if (count == 0) revert NoCandidates();
        members = new Member[](count);
        uint256 at = 0;
        uint256 given = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (powers[i] == 0) continue;
            ValidatorId validator = ValidatorId.wrap(all[i].validator);
            while (given < candidates.length && !(candidates[given].validator == validator)) {
                ++given;
            }
            if (given == candidates.length) revert KeysUnknown(validator);
            Keys calldata keys = candidates[given].keys;
            if (STAKE.keysHashOf(validator) != keccak256(abi.encode(keys))) revert KeysUnknown(validator);
            members[at++] = Member({
                consensusKey: keys.consensusKey,
                settlementKey: keys.settlementKey,
                power: powers[i],
                validator: validator
            });
        }
    }

    /// The members of a committee but those in `absent`, and the power of those.
    function without(Committee memory whole, uint256 absent)
        private
        view
        returns (Member[] memory members, uint64 excluded)
    {
        members = new Member[](whole.count);
        uint256 count = 0;
        for (uint256 i = 0; i < whole.count; ++i) {
            Member memory member = CommitteeTable.member(whole, i);
            if (absent >> i & 1 == 1) excluded += member.power;
            else members[count++] = member;
        }
        assembly ("memory-safe") {
            mstore(members, count)
        }
    }

    function membersIn(Committee memory whole, uint256 bitmap)
        private
        view
        returns (ValidatorId[] memory members)
    {
        members = new ValidatorId[](whole.count);
        uint256 count = 0;
        for (uint256 i = 0; i < whole.count; ++i) {
            if (bitmap >> i & 1 == 1) members[count++] = CommitteeTable.member(whole, i).validator;
        }
        assembly ("memory-safe") {
            mstore(members, count)
        }
    }

    function offer(bytes32 committeeHash, Offer memory made) private {
        uint64 epoch = STAKE.noteOffer();
        Offer memory known = offers[epoch][committeeHash];
        if (known.committee.count != 0) {
            made = joined(known, made);
            bool same = made.whole == known.whole && made.absent == known.absent && made.held == known.held;
            if (same) revert AlreadyOffered(epoch, committeeHash);
        }
        offers[epoch][committeeHash] = made;
        // Not `absent`: two reductions of different elections have none in common, and are no election.
        emit CommitteeOffered(epoch, committeeHash, made.committee, made.held, made.whole != 0);
    }

    /// Two ways to the same rows. The hash that takes effect does not say which was meant, so nobody is jailed for
    /// having been left out on one of them, and leavers are held if they are on either.
    function joined(Offer memory known, Offer memory other) private pure returns (Offer memory) {
        return Offer({
            committee: known.committee,
            held: known.held || other.held,
            whole: known.whole == 0 || other.whole == 0 ? bytes32(0) : known.whole,
            absent: known.whole == other.whole ? known.absent : 0
        });
    }

    /// What the end of the epoch before may name. For epoch 1 that is also the committee of epoch 0, with which the
    /// chain makes its first key: nobody can offer for epoch 1 before epoch 0 has begun, and by then stake may
    /// have moved. It serves on with the power that was counted, so stake that has left since is held; and who was
    /// left out of it, on whatever way, is not jailed for epoch 1.
    function offerFor(uint64 epoch, bytes32 committeeHash) private view returns (Offer memory made) {
        made = offers[epoch][committeeHash];
        bool isWhole = made.committee.count != 0 && made.whole == 0;
        if (epoch == 1 && !isWhole) {
            Committee memory first = offers[0][committeeHash].committee;
            // Not any offer for epoch 0, but the one that took effect.
            bool stays = first.count != 0 && first.table == ISlashable(address(STAKE)).committeeOf(0).table;
            if (stays) return Offer({ committee: first, held: true, whole: 0, absent: 0 });
        }
        if (made.committee.count == 0) revert NotOffered(epoch, committeeHash);
    }

    function setWithinBounds(ElectionParameters memory p) private {
        if (p.committeeSizeMax < COMMITTEE_SIZE_MIN || p.committeeSizeMax > CommitteeTable.MEMBERS_MAX) {
            revert ParameterOutOfRange("committeeSizeMax", p.committeeSizeMax);
        }
        if (p.replacementMarginBps > MARGIN_BPS_MAX) {
            revert ParameterOutOfRange("replacementMarginBps", p.replacementMarginBps);
        }
        settings = p;
        emit ParametersSet(p);
    }
}
