//! Having offenders answer on L1: the evidence that this node keeps, posted by one validator, in turns.
//!
//! Whoever contradicts himself once does so often, and each report costs gas. What it takes is one conviction of a
//! validator in an epoch: that tombstones it, and counts its power when the penalty is measured. So whether somebody
//! has posted is asked of L1's events for validator and epoch, whichever offence it was, and only a final one ends
//! the matter. Shares are matters of their own ([`Matter`]): a conviction of a premature one may end in an acquittal, and
//! a wrong one jails for little. If L1 refuses the evidence that it is shown, it is shown other ([`Pieces`]).
//!
//! Of a premature share a validator is acquitted at one height, and has to answer for others all the same: so the matter
//! stays open, and is looked at now and then, until there can be no acquittal any more; after one, other evidence is shown.
//!
//! **Bounds.** As many offenders as committees have members, of epochs whose evidence is in the store; a few pieces of
//! evidence for each matter; [`EXCUSED_MAX`] heights of which an offender was acquitted, and whoever has more is left to
//! others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use alloy::primitives::Address;
use conclave_sequencer::archive::{self, ArchiveError, EvidenceCursor, Kept as Evidence};
use conclave_types::{ConsensusKey, Height, HeightDelta, Member, digest::SigningDomain};
use tokio::time::Instant;

use super::{
    decide::Turns,
    pieces::{Form, OF_A_FORM_MAX, Pieces},
};
use crate::{
    l1::{
        Endpoints, TooFew,
        evidence::{Exhibit, Finding, Matter, Offender, Shown, Verdict, conviction},
        panel::Panel,
    },
    store::{RocksStore, StoreError},
};

/// Pieces of evidence that are read at once.
const PAGE: usize = 256;
/// Messages of so many heights back are still heard (`conclave_consensus`), so evidence of them still comes.
const LATE: HeightDelta = HeightDelta::new(128);
/// What L1 shows is looked at so often while somebody is to be reported.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// And so often while somebody is convicted who may be acquitted.
const LOOK_OPEN_EVERY: Duration = Duration::from_secs(60);
/// Heights at which one offender was acquitted.
const EXCUSED_MAX: usize = 1_024;
/// A report that failed is repeated after this, and each time after twice as long, up to a limit.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// An offender whom L1 does not know yet, as far as this node has seen.
#[derive(Clone, Debug)]
struct Charge {
    pieces: Pieces,
    since: Instant,
    not_before: Instant,
    failures: u32,
    convicted: bool,
    look_after: Instant,
}

/// Of which heights' premature shares whom L1 has acquitted.
pub(super) type Excused = BTreeMap<Offender, BTreeSet<Height>>;

/// How far the evidence in a node's store was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Evidence seen since the start of the node.
    pub(super) count: u64,
    /// The newest height then.
    pub(super) decided: Height,
    /// Whether some is of a height that the node had not come to.
    pub(super) is_early: bool,
}

/// Whom this node has evidence against, and what has become of it.
#[derive(Clone, Debug)]
pub(super) struct Reporting {
    takeover: Duration,
    own: Option<ConsensusKey>,
    charges: BTreeMap<Offender, Charge>,
    closed: BTreeSet<Offender>,
    excused: Excused,
    /// What the store was like when it was read last.
    read: Option<Kept>,
    /// The least height of which evidence may still come, besides those that are late.
    least: Option<Height>,
    next_read: Instant,
    next_look: Instant,
}

impl Reporting {
    /// Reports cost two blocks, an announcement and then the report: so long do the others wait for each.
    pub(super) fn new(takeover: Duration, own: Option<ConsensusKey>, now: Instant) -> Self {
        Self {
            takeover: takeover.saturating_mul(2),
            own,
            charges: BTreeMap::new(),
            closed: BTreeSet::new(),
            excused: Excused::new(),
            read: None,
            least: None,
            next_read: now,
            next_look: now,
        }
    }

    /// From which height on the store is to be read now; none if nothing can have come since.
    pub(super) fn stale(&mut self, now: Instant, count: u64) -> Option<Height> {
        let from = match self.read {
            None => Height::ZERO,
            Some(read) if read.count == count && !read.is_early => return None,
            Some(_) if now < self.next_read => return None,
            Some(read) => {
                let late = read.decided.checked_sub(LATE).unwrap_or(Height::ZERO);
                self.least.map_or(late, |least| late.min(least))
            }
        };
        self.next_read = now + LOOK_EVERY;
        Some(from)
    }

    /// Evidence of that height and above may come from now on: L1 shows what is as old as that. A quorum has signed it,
    /// so only where the chain has forked more than what is late is read again and again.
    pub(super) fn expect_from(&mut self, height: Height) {
        self.least = Some(self.least.map_or(height, |least| least.min(height)));
    }

    /// Takes what was read from the store.
    pub(super) fn take(&mut self, now: Instant, exhibits: Vec<Exhibit>, read: Kept) {
        self.read = Some(read);
        for exhibit in exhibits.into_iter().map(Arc::new) {
            for (_, member) in exhibit.accused() {
                let matter = exhibit.offence.matter();
                let (epoch, validator) = (exhibit.epoch, member.validator);
                let offender = Offender { epoch, validator, matter };
                if self.closed.contains(&offender) {
                    continue;
                }
                if let Some(charge) = self.charges.get_mut(&offender) {
                    charge.pieces.keep(Arc::clone(&exhibit));
                    continue;
                }
                if self.own == Some(member.consensus_key) {
                    warn_oneself(&exhibit);
                    self.closed.insert(offender);
                    continue;
                }
                tracing::warn!(
                    validator, name = member.name, %epoch, ?matter,
                    "there is evidence against a validator: it is to be reported to L1"
                );
                let charge = Charge {
                    pieces: Pieces::new(Arc::clone(&exhibit)),
                    since: now,
                    not_before: now,
                    failures: 0,
                    convicted: false,
                    look_after: now,
                };
                self.charges.insert(offender, charge);
            }
        }
    }

    /// Whom L1 is to be asked about now.
    pub(super) fn next_questions(&mut self, now: Instant) -> Vec<Offender> {
        if self.charges.is_empty() || now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + LOOK_EVERY;
        let due = self.charges.iter().filter(|(_, charge)| now >= charge.look_after);
        due.map(|(offender, _)| *offender).collect()
    }

    /// L1 has come so far with an offender.
    pub(super) fn learn(&mut self, now: Instant, offender: Offender, found: Finding) {
        let Finding { verdict, excused } = found;
        self.excuse(offender, excused);
        let Some(charge) = self.charges.get_mut(&offender) else { return };
        charge.convicted = verdict != Verdict::None;
        match verdict {
            Verdict::Final => self.give_up(offender),
            Verdict::Open => charge.look_after = now + LOOK_OPEN_EVERY,
            Verdict::None | Verdict::Convicted => {}
        }
    }

    /// L1 has acquitted an offender of its shares at these heights: it is to answer for what else there is.
    fn excuse(&mut self, offender: Offender, heights: BTreeSet<Height>) {
        let known = self.excused.get(&offender).map_or(0, BTreeSet::len);
        if heights.len() <= known {
            return;
        }
        if heights.len() > EXCUSED_MAX {
            return self.give_up(offender);
        }
        if let Some(charge) = self.charges.get_mut(&offender) {
            charge.pieces.drop_all(|exhibit| heights.contains(&exhibit.offence.height()));
            if charge.pieces.next().is_none() {
                self.charges.remove(&offender);
            }
        }
        self.excused.insert(offender, heights);
        // Of what is in the store the first pieces were read.
        self.read = None;
    }

    /// Of what whom L1 has acquitted.
    pub(super) fn excused(&self) -> Excused {
        self.excused.clone()
    }

    /// Whom this validator is to report now, with the evidence. The offender's number says who comes first; every other
    /// one waits for as many delays as come before it.
    pub(super) fn due(&self, now: Instant, turns: Turns) -> Option<(Offender, Arc<Exhibit>)> {
        let turn = |offender: &Offender, charge: &Charge| {
            let rank = turns.rank(u64::from(offender.validator));
            (charge.since + self.takeover.saturating_mul(rank)).max(charge.not_before)
        };
        let open = self.charges.iter().filter(|(_, charge)| !charge.convicted);
        let due = open.filter(|(offender, charge)| now >= turn(offender, charge));
        // Who was put off comes behind the others: a report that waits for its height keeps no other from being made.
        let next = due.min_by_key(|(_, charge)| charge.not_before);
        next.and_then(|(offender, charge)| Some((*offender, charge.pieces.next()?.clone())))
    }

    /// L1 refuses a piece of evidence: the next time it is shown another, if there is one.
    pub(super) fn refuse(&mut self, offender: Offender, exhibit: &Exhibit) {
        if let Some(charge) = self.charges.get_mut(&offender) {
            charge.pieces.refuse(exhibit);
        }
    }

    /// A report was made, or could not be: not again right away.
    pub(super) fn rest(&mut self, now: Instant, offender: Offender) {
        let Some(charge) = self.charges.get_mut(&offender) else { return };
        let factor = 1_u32.checked_shl(charge.failures).unwrap_or(u32::MAX);
        charge.not_before = now + RETRY.saturating_mul(factor).min(RETRY_MAX);
        charge.failures = charge.failures.saturating_add(1);
    }

    /// There is nothing more to do about it.
    pub(super) fn give_up(&mut self, offender: Offender) {
        self.charges.remove(&offender);
        self.closed.insert(offender);
    }

    /// What a report takes is not there yet: not right away.
    pub(super) fn put_off(&mut self, now: Instant, offender: Offender) {
        if let Some(charge) = self.charges.get_mut(&offender) {
            charge.not_before = now + LOOK_EVERY;
        }
    }

    /// How many offenders are yet to be convicted.
    pub(super) fn waiting(&self) -> u64 {
        let waiting = self.charges.values().filter(|charge| !charge.convicted).count();
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }
}

/// All the evidence from a height on that convicts somebody, and whether there is some that is too early to tell.
pub(super) fn read(
    store: &RocksStore,
    domain: &SigningDomain,
    from: Height,
    excused: &Excused,
) -> Result<(Vec<Exhibit>, bool), ArchiveError<StoreError>> {
    let (mut exhibits, mut is_early) = (Vec::new(), false);
    let (mut seen, mut wrong) = (BTreeMap::new(), BTreeMap::new());
    let mut cursor = EvidenceCursor::at(from);
    loop {
        let (page, next) = archive::evidence(store, &cursor, PAGE)?;
        if page.is_empty() {
            return Ok((exhibits, is_early));
        }
        cursor = next;
        for kept in page {
            // To look for the wrong one among shares takes as long as checking them all.
            if let Evidence::WrongShares(shares) = &kept
                && wrong.get(&(shares.epoch, shares.validator)) >= Some(&OF_A_FORM_MAX)
            {
                continue;
            }
            let exhibit = match Exhibit::of(store, domain, kept)? {
                Shown::Exhibit(exhibit) => exhibit,
                Shown::NotYet => {
                    is_early = true;
                    continue;
                }
                Shown::Never => continue,
            };
            let (epoch, matter) = (exhibit.epoch, exhibit.offence.matter());
            let offender =
                |member: &Member| Offender { epoch, validator: member.validator, matter };
            let form = Form::of(&exhibit.offence);
            let accused: Vec<_> =
                exhibit.accused().map(|(_, member)| (offender(member), form)).collect();
            let is_excused = |offender: &Offender| {
                let excused = excused.get(offender);
                excused.is_some_and(|heights| heights.contains(&exhibit.offence.height()))
            };
            // A few pieces of each form are enough.
            let is_new = accused
                .iter()
                .any(|accused| seen.get(accused) < Some(&OF_A_FORM_MAX) && !is_excused(&accused.0));
            if is_new && exhibit.convicts(domain) {
                accused.into_iter().for_each(|accused| count(&mut seen, accused));
                if matter == Matter::WrongShare {
                    let offenders = exhibit.accused().map(|(index, _)| (epoch, index));
                    offenders.for_each(|offender| count(&mut wrong, offender));
                }
                exhibits.push(exhibit);
            }
        }
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn warn_oneself(exhibit: &Exhibit) {
    let (epoch, height) = (exhibit.epoch, exhibit.offence.height());
    if exhibit.offence.matter() == Matter::WrongShare {
        tracing::error!(
            %epoch, %height,
            "this validator has sent wrong shares, and others may have it slashed: its memory, disk or program is \
             not what it should be; stop it"
        );
    } else {
        tracing::error!(
            %epoch, %height,
            "this validator has contradicted itself, and others may have it slashed: two nodes run with its key; \
             stop both"
        );
    }
}

/// What most endpoints say of convictions.
#[derive(Clone, Debug)]
pub(super) struct Court {
    panel: Panel,
    slasher: Address,
}

impl Court {
    pub(super) fn new(endpoints: Endpoints, slasher: Address) -> Self {
        Self { panel: Panel::new(endpoints), slasher }
    }

    /// How far L1 has come with an offender, as far as most endpoints say, if its epoch had not begun before that block.
    pub(super) async fn verdict(
        &mut self,
        offender: Offender,
        from: u64,
    ) -> Result<Finding, TooFew> {
        let slasher = self.slasher;
        let asked = self
            .panel
            .ask(0, |provider| async move { conviction(&provider, slasher, from, offender).await });
        let answers: Vec<_> = asked.await?.into_iter().map(|(_, found)| found).collect();
        Ok(majority(&answers, self.panel.count()))
    }
}

/// What most of `all` endpoints have at least seen, of which these have answered.
fn majority(answers: &[Finding], all: usize) -> Finding {
    let is_most = |count: usize| count.saturating_mul(2) > all;
    let most = |verdict| is_most(answers.iter().filter(|found| found.verdict >= verdict).count());
    let verdicts = [Verdict::Final, Verdict::Open, Verdict::Convicted];
    let verdict = verdicts.into_iter().find(|verdict| most(*verdict)).unwrap_or_default();
    let mut said: BTreeMap<Height, usize> = BTreeMap::new();
    answers.iter().flat_map(|found| &found.excused).for_each(|height| count(&mut said, *height));
    said.retain(|_, says| is_most(*says));
    let excused = said.into_keys().collect();
    Finding { verdict, excused }
}

#[cfg(test)]
mod tests {
    use conclave_consensus::{Evidence, SignedVote};
    use conclave_sequencer::ShareMessage;
    use conclave_types::{
        BlockCommitment, BlockHeader, BlockId, Digest, DkgResult, EncryptionKey, Epoch, Era,
        G1Bytes, G2Bytes, KeyId, L1Origin, NetworkId, Round, SettlementSecret, SignatureBytes,
        Time, ValidatorIndex, VoteKind,
    };

    use super::*;
    use crate::l1::evidence::{Offence, PrematureShare, WrongShare};

    const TAKEOVER: Duration = Duration::from_secs(10);

    /// Validator `number` on L1 is member `number - 1` here, and has voted twice.
    fn exhibit(epoch: u64, number: u32) -> Exhibit {
        let seat = |number: u32| ValidatorIndex::new(u16::try_from(number - 1).unwrap());
        let member = |number: u32| Member {
            name: format!("validator-{number}"),
            consensus_key: ConsensusKey::new([u8::try_from(number).unwrap(); 32]),
            network_key: ConsensusKey::new([0; 32]),
            settlement_key: SettlementSecret::from_seed(&[1; 32]).key(),
            validator: number,
            power: 1,
        };
        let vote = |salt| SignedVote {
            kind: VoteKind::Prevote,
            height: Height::new(7),
            round: Round::new(0),
            block: Some(BlockId::new([salt; 32])),
            voter: seat(number),
            signature: SignatureBytes::new([0; 64]),
        };
        let offence = Offence::Equivocation(Box::new(Evidence::Votes(vote(1), vote(2))));
        let committee = (1..=4).map(|number| (seat(number), member(number))).collect();
        Exhibit { epoch: Epoch::new(epoch), committee, offence }
    }

    const fn contradiction(epoch: u64, validator: u32) -> Offender {
        Offender { epoch: Epoch::new(epoch), validator, matter: Matter::Contradiction }
    }

    /// The same validator has sent wrong shares.
    fn wrong_share(epoch: u64, number: u32) -> Exhibit {
        let Exhibit { epoch, committee, .. } = exhibit(epoch, number);
        let header = BlockHeader {
            network: NetworkId::new([0; 32]),
            height: Height::new(7),
            parent: BlockId::ZERO,
            parent_certificate: Digest::ZERO,
            proposer: ValidatorIndex::default(),
            time: Time::from_micros(0),
            epoch,
            l1_origin: L1Origin::default(),
            l1_entries_root: Digest::ZERO,
            key_id: KeyId::ZERO,
            sharing_root: Digest::ZERO,
            bundle_root: Digest::ZERO,
            bundle_count: 0,
            revealed_height: Height::ZERO,
            reveal_digest: Digest::ZERO,
            ledger_digest: Digest::ZERO,
        };
        let key = EncryptionKey {
            suite: 1,
            era: Era::new(0),
            secrecy: 1,
            packing: 1,
            public_key: G1Bytes::ZERO,
            public_key_g2: G2Bytes::ZERO,
            verification_keys: Vec::new(),
        };
        let shares = ShareMessage {
            epoch,
            height: header.height,
            block: header.id(),
            validator: ValidatorIndex::new(u16::try_from(number - 1).unwrap()),
            shares: Vec::new(),
            signature: SignatureBytes::new([0; 64]),
        };
        let sharing = DkgResult { key, holders: Vec::new() };
        let share = WrongShare { shares, index: 0, header, sharing, bundles: Vec::new() };
        Exhibit { epoch, committee, offence: Offence::WrongShare(Box::new(share)) }
    }

    /// The same validator has shared another block than the chain's.
    fn premature_share(epoch: u64, number: u32, height: u64) -> Exhibit {
        let Exhibit { epoch, committee, offence } = wrong_share(epoch, number);
        let Offence::WrongShare(wrong) = offence else { panic!("a wrong share") };
        let height = Height::new(height);
        let commitment = BlockCommitment {
            epoch,
            height,
            block: BlockId::new([9; 32]),
            history_root: Digest::ZERO,
            reveal_root: Digest::ZERO,
            rollup_count: 0,
            l1_origin: L1Origin::default(),
            forced_cursor: 0,
            withdrawals_root: Digest::ZERO,
            epoch_end: None,
        };
        let shares = ShareMessage { height, ..wrong.shares };
        let shared = PrematureShare { shares, commitment, settled: None };
        Exhibit { epoch, committee, offence: Offence::PrematureShare(Box::new(shared)) }
    }

    const fn verdict(verdict: Verdict) -> Finding {
        Finding { verdict, excused: BTreeSet::new() }
    }

    fn at(heights: &[u64]) -> BTreeSet<Height> {
        heights.iter().copied().map(Height::new).collect()
    }

    #[test]
    fn who_is_acquitted_at_one_height_is_to_answer_for_others() {
        let start = Instant::now();
        let all = [7, 8].map(|height| premature_share(3, 2, height));
        let mut reporting = reporting(start, all.to_vec());
        let offender = Offender { matter: Matter::PrematureShare, ..contradiction(3, 2) };
        let due = |reporting: &Reporting| reporting.due(start, seat(2));
        let shown = |reporting: &Reporting| due(reporting).unwrap().1.offence.height().as_u64();
        assert_eq!(shown(&reporting), 7);
        // It is convicted for good, and may be acquitted: nothing is to be done, and it is asked for now and then.
        reporting.learn(start, offender, verdict(Verdict::Open));
        assert!(due(&reporting).is_none() && reporting.waiting() == 0);
        assert_eq!(reporting.next_questions(start + LOOK_EVERY), []);
        assert_eq!(reporting.next_questions(start + LOOK_OPEN_EVERY), [offender]);
        // Of one height it is.
        let acquitted = |heights| Finding { verdict: Verdict::None, excused: at(heights) };
        reporting.learn(start, offender, acquitted(&[7]));
        assert_eq!((shown(&reporting), reporting.waiting()), (8, 1));
        // The store has more than the few pieces of each form that were read, and is read again.
        assert_eq!(reporting.stale(start, 1), Some(Height::ZERO));
        assert_eq!(reporting.excused(), [(offender, at(&[7]))].into());
        reporting.take(start, vec![all[1].clone()], kept(1, 200));
        assert_eq!(reporting.stale(start, 1), None);
        reporting.learn(start, offender, acquitted(&[7]));
        assert_eq!(reporting.stale(start, 1), None, "nothing is new");
        // Of the other one as well: there is nothing left, until there is more.
        reporting.learn(start, offender, acquitted(&[7, 8]));
        assert!(due(&reporting).is_none() && reporting.waiting() == 0);
        reporting.take(start, vec![premature_share(3, 2, 9)], kept(2, 200));
        assert_eq!(shown(&reporting), 9);
        // What it is not acquitted of any more ends the matter.
        reporting.learn(start, offender, verdict(Verdict::Final));
        reporting.take(start, vec![premature_share(3, 2, 10)], kept(3, 200));
        assert!(due(&reporting).is_none());
    }

    const fn kept(count: u64, decided: u64) -> Kept {
        Kept { count, decided: Height::new(decided), is_early: false }
    }

    fn reporting(now: Instant, exhibits: Vec<Exhibit>) -> Reporting {
        let own = Some(ConsensusKey::new([1; 32]));
        let mut reporting = Reporting::new(TAKEOVER, own, now);
        assert_eq!(reporting.stale(now, 0), Some(Height::ZERO), "what was kept before the start");
        reporting.take(now, exhibits, kept(1, 200));
        reporting
    }

    const fn seat(seat: u64) -> Turns {
        Turns { seat: Some(seat), seats: 4 }
    }

    #[test]
    fn validators_take_turns_by_the_offenders_number_and_take_over_by_rank() {
        let start = Instant::now();
        let reporting = reporting(start, vec![exhibit(3, 2)]);
        let after = |seconds| start + Duration::from_secs(seconds);
        let offender = contradiction(3, 2);
        // Number 2: seat 2 comes first.
        for (at, waits) in [(2, 0), (3, 20), (0, 40), (1, 60)] {
            let due = |now| reporting.due(now, seat(at)).map(|(offender, _)| offender);
            assert_eq!(due(after(waits)), Some(offender), "{at}");
            if waits > 0 {
                assert_eq!(due(after(waits - 1)), None, "{at}");
            }
        }
    }

    #[test]
    fn one_conviction_in_an_epoch_is_enough_and_only_a_final_one_ends_the_matter() {
        let start = Instant::now();
        let mut reporting = reporting(start, vec![exhibit(3, 2), exhibit(3, 2), exhibit(4, 2)]);
        assert_eq!(reporting.waiting(), 2);
        let (first, second) = (contradiction(3, 2), contradiction(4, 2));
        assert_eq!(reporting.next_questions(start), [first, second]);
        assert_eq!(reporting.next_questions(start), [], "not all the time");
        let due =
            |reporting: &Reporting| reporting.due(start, seat(2)).map(|(offender, _)| offender);
        reporting.learn(start, first, verdict(Verdict::Convicted));
        assert_eq!((due(&reporting), reporting.waiting()), (Some(second), 1));
        // Taken back.
        reporting.learn(start, first, verdict(Verdict::None));
        assert_eq!((due(&reporting), reporting.waiting()), (Some(first), 2));
        reporting.learn(start, first, verdict(Verdict::Final));
        reporting.take(start, vec![exhibit(3, 2)], kept(2, 300));
        assert_eq!((due(&reporting), reporting.waiting()), (Some(second), 1));
        assert_eq!(
            reporting.next_questions(start + LOOK_EVERY),
            [second],
            "nothing is left to ask"
        );
    }

    /// Another piece of evidence against the same validator: two votes of that kind in that round.
    fn votes(round: u32, kind: VoteKind) -> Exhibit {
        let mut exhibit = exhibit(3, 2);
        if let Offence::Equivocation(evidence) = &mut exhibit.offence
            && let Evidence::Votes(first, second) = &mut **evidence
        {
            for vote in [first, second] {
                (vote.round, vote.kind) = (Round::new(round), kind);
            }
        }
        exhibit
    }

    #[test]
    fn what_l1_refuses_keeps_no_other_evidence_from_being_shown() {
        let start = Instant::now();
        let [one, two, three] = [0, 1, 2].map(|round| votes(round, VoteKind::Prevote));
        let precommits = votes(0, VoteKind::Precommit);
        let all = vec![one.clone(), two.clone(), three.clone(), precommits.clone(), one.clone()];
        let mut reporting = reporting(start, all);
        let offender = contradiction(3, 2);
        let shown = |reporting: &Reporting| {
            let due = reporting.due(start + RETRY_MAX, seat(2));
            due.map(|(_, exhibit)| Exhibit::clone(&exhibit)).unwrap()
        };
        // Of one form there are two, whatever comes; the third is of another.
        for expected in [&one, &two, &precommits, &one, &two] {
            assert_eq!(shown(&reporting), *expected);
            reporting.refuse(offender, expected);
        }
        assert_eq!(shown(&reporting), precommits, "all were refused: from the beginning");
        assert_eq!(reporting.waiting(), 1, "one offender");
        // What comes later takes the place of one that was refused, and comes before all that were.
        reporting.take(start, vec![three.clone(), two.clone()], kept(2, 300));
        assert_eq!(shown(&reporting), three);
        reporting.rest(start, offender);
        assert!(reporting.due(start, seat(2)).is_none(), "no sooner than the same again");
        assert_eq!(shown(&reporting), three, "it was not refused: the endpoints were silent");
        // The store is read again, and has what was refused.
        reporting.refuse(offender, &three);
        reporting.take(start, vec![one, two, three], kept(3, 300));
        assert_eq!(shown(&reporting), precommits);
    }

    #[test]
    fn a_report_that_waits_keeps_no_other_from_being_made() {
        let start = Instant::now();
        let mut reporting = reporting(start, vec![exhibit(3, 2), exhibit(4, 2)]);
        let (first, second) = (contradiction(3, 2), contradiction(4, 2));
        let due = |reporting: &Reporting, now| reporting.due(now, seat(2)).map(|(it, _)| it);
        let mut now = start;
        for _ in 0..3 {
            assert_eq!(due(&reporting, now), Some(first));
            reporting.put_off(now, first);
            // All that wait are due again at the next step, however late that is.
            now += 2 * LOOK_EVERY;
            assert_eq!(due(&reporting, now), Some(second));
            reporting.put_off(now, second);
            now += 2 * LOOK_EVERY;
        }
    }

    #[test]
    fn a_wrong_share_is_a_matter_of_its_own() {
        let start = Instant::now();
        let mut reporting = reporting(start, vec![wrong_share(3, 2), exhibit(3, 2)]);
        let grave = contradiction(3, 2);
        let slight = Offender { matter: Matter::WrongShare, ..grave };
        assert_eq!(reporting.next_questions(start), [grave, slight]);
        let due = |reporting: &Reporting| reporting.due(start, seat(2)).map(|(it, _)| it);
        assert_eq!(due(&reporting), Some(grave), "what costs more comes first");
        reporting.learn(start, grave, verdict(Verdict::Convicted));
        assert_eq!(due(&reporting), Some(slight));
        reporting.learn(start, slight, verdict(Verdict::Convicted));
        assert_eq!((due(&reporting), reporting.waiting()), (None, 0));
    }

    #[test]
    fn nobody_reports_itself() {
        let start = Instant::now();
        let reporting = reporting(start, vec![exhibit(3, 1)]);
        assert!(reporting.due(start + RETRY_MAX, seat(0)).is_none());
        assert_eq!(reporting.waiting(), 0);
    }

    #[test]
    fn a_report_that_fails_is_repeated_ever_later() {
        let start = Instant::now();
        let mut reporting = reporting(start, vec![exhibit(3, 2)]);
        let offender = contradiction(3, 2);
        for waits in [5, 10, 20, 40] {
            reporting.rest(start, offender);
            let at = |seconds| reporting.due(start + Duration::from_secs(seconds), seat(2));
            assert!(at(waits - 1).is_none() && at(waits).is_some(), "{waits}");
        }
        for _ in 0..40 {
            reporting.rest(start, offender);
        }
        assert!(reporting.due(start + RETRY_MAX, seat(2)).is_some());
    }

    #[test]
    fn the_store_is_read_anew_when_there_is_more_evidence() {
        let start = Instant::now();
        let mut reporting = reporting(start, Vec::new());
        let later = start + LOOK_EVERY;
        assert_eq!(reporting.stale(later, 1), None);
        assert_eq!(reporting.stale(start, 2), None, "not all the time");
        assert_eq!(reporting.stale(later, 2), Some(Height::new(200 - 128)));
        // Some of it was of a height that is yet to be decided.
        reporting.take(later, Vec::new(), Kept { is_early: true, ..kept(2, 300) });
        assert_eq!(reporting.stale(later, 2), None);
        assert_eq!(reporting.stale(later + LOOK_EVERY, 2), Some(Height::new(300 - 128)));
        // L1 shows what is old: evidence of that comes once the core has seen to it, if not at the first reading.
        reporting.expect_from(Height::new(40));
        reporting.expect_from(Height::new(60));
        for count in [3, 4] {
            reporting.take(later, Vec::new(), kept(count - 1, 300));
            let now = later + LOOK_EVERY * u32::try_from(count).unwrap();
            assert_eq!(reporting.stale(now, count - 1), None);
            assert_eq!(reporting.stale(now, count), Some(Height::new(40)));
        }
    }

    #[test]
    fn what_most_endpoints_have_seen_of_a_conviction_counts() {
        use Verdict::{Convicted, Final, None, Open};
        let table: [(&[Verdict], usize, Verdict); 9] = [
            (&[Final], 1, Final),
            (&[Final, None, None], 3, None),
            (&[None, Final, Final], 3, Final),
            (&[Convicted, Final, None], 3, Convicted),
            (&[Open, Final, None], 3, Open),
            (&[Open, Open, Final], 3, Open),
            (&[Convicted, Final], 3, Convicted),
            (&[Final, None], 2, None),
            (&[Final], 3, None),
        ];
        for (answers, all, expected) in table {
            let found: Vec<_> = answers.iter().copied().map(verdict).collect();
            assert_eq!(majority(&found, all).verdict, expected, "{answers:?} of {all}");
        }
        let excuses = |heights: &[u64]| Finding { verdict: None, excused: at(heights) };
        let said = [excuses(&[7, 8]), excuses(&[7]), excuses(&[9])];
        assert_eq!(majority(&said, 3), excuses(&[7]), "one alone acquits nobody");
    }
}
