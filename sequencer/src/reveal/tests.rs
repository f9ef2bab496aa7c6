//! Cooperative opening, seen by validator 1 of four; the test plays the other three.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_encryption::SealedBlock;
use conclave_types::{BlockId, Epoch, G1Bytes, Height, Opening, ValidatorIndex, VoteKind};

use crate::{
    Event, Input, Message, PartialOpening, Peer, ShareMessage,
    archive::{self, EvidenceCursor, Kept},
    encapsulation,
    job::SharedBlock,
    reveal::{
        EARLY_MAX,
        ahead::{AheadBlocks, Share},
        parts::Cut,
    },
    testing::Solo,
};

const HEIGHT: Height = Height::new(1);

/// A block of many bundles that was just decided, and all its openings.
struct Decided {
    solo: Solo,
    block: BlockId,
    sealed: SealedBlock,
    openings: Vec<Opening>,
    cut: Cut,
}

impl Decided {
    fn new(bundle_count: u64) -> Self {
        Self::by(Solo::of(4, 1), bundle_count)
    }

    fn by(mut solo: Solo, bundle_count: u64) -> Self {
        let mut sealed = BTreeMap::new();
        for sequence in 0..bundle_count {
            let bundle = solo.bundle(sequence);
            sealed.insert(bundle.id(), encapsulation(&bundle));
            solo.submit(bundle).unwrap();
        }
        let block = solo.run_to_proposal();
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            for voter in [0, 2, 3] {
                solo.vote(kind, voter, block);
            }
        }
        let ids = solo.events.iter().find_map(|event| {
            let Event::Decided { bundles, .. } = event else { return None };
            Some(bundles.clone())
        });
        let bundles: Vec<_> = ids.unwrap().iter().map(|id| sealed[id]).collect();
        let sealed = SealedBlock::new(&solo.key, HEIGHT, block, &bundles).unwrap();
        let shares: Vec<_> =
            (0..4).map(|v| solo.shares_of(v, (HEIGHT, block), &sealed).shares).collect();
        let listed: Vec<_> = (0..).zip(shares.iter().map(Vec::as_slice)).collect();
        let openings = sealed.combine(&listed, 0..sealed.share_count()).unwrap();
        let cut = Cut::new(openings.len(), &solo.key.packing(), 4);
        Self { solo, block, sealed, openings, cut }
    }

    fn part(&self, part: usize) -> PartialOpening {
        PartialOpening {
            height: HEIGHT,
            block: self.block,
            part: u16::try_from(part).unwrap(),
            openings: self.openings[self.cut.openings(part)].to_vec(),
        }
    }

    fn show(&mut self, from: u16, part: PartialOpening) {
        self.solo.hear(from, Message::Part(Arc::new(part)));
    }

    fn share(&mut self, from: u16) {
        let shares = self.solo.shares_of(from, (HEIGHT, self.block), &self.sealed);
        self.solo.hear(from, Message::Shares(Arc::new(shares)));
    }

    fn revealed(&self) -> Height {
        self.solo.core.status().revealed
    }
}

#[test]
fn parts_of_others_open_a_block_without_any_of_their_shares() {
    let mut decided = Decided::new(70);
    assert_eq!(decided.cut.count(), 3);
    for (from, part) in [(0, 0), (2, 1), (3, 2)] {
        assert_eq!(decided.revealed(), Height::ZERO);
        decided.show(from, decided.part(part));
    }
    assert_eq!(decided.revealed(), HEIGHT);
    assert_eq!(decided.solo.shown, vec![], "there was nothing left to open");
}

#[test]
fn what_is_missing_is_opened_here_and_shown() {
    let mut decided = Decided::new(70);
    decided.show(0, decided.part(1));
    decided.share(0);
    assert_eq!(decided.revealed(), Height::ZERO, "two are no quorum");
    decided.share(3);
    assert_eq!(decided.revealed(), HEIGHT);
    let shown: Vec<_> = decided.solo.shown.iter().map(|part| (**part).clone()).collect();
    assert_eq!(shown.len(), 2);
    for part in shown {
        assert_ne!(part.part, 1, "what others have shown is not opened again");
        assert_eq!(part, decided.part(usize::from(part.part)));
    }
}

#[test]
fn a_block_that_is_opened_by_everyone_for_itself_is_not_shown() {
    let mut decided = Decided::new(8);
    assert_eq!(decided.cut.count(), 1);
    decided.share(0);
    decided.share(2);
    assert_eq!(decided.revealed(), HEIGHT);
    assert_eq!(decided.solo.shown, vec![]);
}

#[test]
fn wrong_parts_cost_their_sender_and_stall_nothing() {
    let mut decided = Decided::new(70);
    for liar in [0, 3] {
        let mut wrong = decided.part(if liar == 0 { 0 } else { 2 });
        wrong.openings.swap(0, 1);
        decided.show(liar, wrong);
    }
    decided.show(2, decided.part(1));
    assert_eq!(decided.revealed(), Height::ZERO);
    assert_eq!(decided.solo.penalties, 2, "each of the two, and only they");
    decided.show(2, decided.part(0));
    decided.show(2, decided.part(2));
    assert_eq!(decided.revealed(), Height::ZERO, "a part that was wrong once is opened here");
    decided.share(0);
    decided.share(3);
    assert_eq!(decided.revealed(), HEIGHT);
    assert_eq!(decided.solo.penalties, 2);
}

#[test]
fn strangers_do_not_disturb_a_quorum_at_work() {
    let mut decided = Decided::new(70);
    decided.solo.now = decided.solo.now.after(Duration::from_secs(1));
    decided.solo.input(Input::Tick);
    decided.solo.held = Some(vec![]);
    decided.share(0);
    decided.share(3);
    let mut openings = decided.openings.clone();
    openings.swap(0, 1);
    for stranger in 0..8 {
        let (height, block, openings) = (HEIGHT, decided.block, openings.clone());
        let message = Message::Openings { height, block, openings };
        decided.solo.input(Input::Message { from: Peer::Full(stranger), message });
    }
    let held: Vec<_> = decided.solo.held.iter().flatten().map(|(_, job)| job.kind()).collect();
    assert_eq!(held, ["combine"], "what strangers say is not even looked at");
    decided.solo.work();
    assert_eq!(decided.revealed(), HEIGHT);
    let mut shown: Vec<_> = decided.solo.shown.iter().map(|part| part.part).collect();
    shown.sort_unstable();
    assert_eq!(shown, [0, 2], "nothing was opened twice, and the other part is for others to show");
}

#[test]
fn who_has_opened_its_part_waits_for_others_as_long_again_and_no_longer() {
    let mut decided = Decided::new(70);
    decided.solo.held = Some(vec![]);
    decided.share(0);
    decided.share(3);
    assert_eq!(kinds(&decided.solo), ["combine"]);
    decided.solo.now = decided.solo.now.after(Duration::from_millis(4));
    let job = decided.solo.held.replace(vec![]).unwrap().pop().unwrap();
    decided.solo.input(Input::JobDone { job: job.0, output: job.1.run() });
    assert_eq!(decided.solo.shown.len(), 1);
    assert_eq!(kinds(&decided.solo), Vec::<&str>::new(), "others are at work on theirs");
    let until = decided.solo.now.after(Duration::from_millis(4));
    assert_eq!(decided.solo.core.wake_at().map(|at| at <= until), Some(true));
    // What comes meanwhile is checked.
    decided.show(2, decided.part(1));
    assert_eq!(kinds(&decided.solo), ["check_parts"]);
    decided.solo.work();
    decided.solo.held = Some(vec![]);
    decided.solo.now = until;
    decided.solo.input(Input::Tick);
    assert_eq!(kinds(&decided.solo), ["combine"], "the third was waited for long enough");
    decided.solo.work();
    assert_eq!(decided.revealed(), HEIGHT);
}

#[test]
fn without_a_quorum_openings_are_taken_from_anyone() {
    let mut decided = Decided::new(70);
    decided.share(0);
    decided.solo.now = decided.solo.now.after(Duration::from_secs(1));
    decided.solo.input(Input::Tick);
    let (height, block, openings) = (HEIGHT, decided.block, decided.openings.clone());
    let message = Message::Openings { height, block, openings };
    decided.solo.input(Input::Message { from: Peer::Full(1), message });
    assert_eq!(decided.revealed(), HEIGHT);
}

#[test]
fn wrong_shares_are_found_before_a_part_is_shown() {
    let mut decided = Decided::new(70);
    let mut wrong = decided.solo.shares_of(0, (HEIGHT, decided.block), &decided.sealed);
    let of_another = decided.solo.shares_of(2, (HEIGHT, decided.block), &decided.sealed);
    wrong.shares = of_another.shares;
    wrong.signature = decided.solo.sign_shares(0, &wrong);
    decided.solo.hear(0, Message::Shares(Arc::new(wrong)));
    decided.share(2);
    assert_eq!(decided.revealed(), Height::ZERO);
    assert_eq!(decided.solo.shown, vec![]);
    let blamed: Vec<_> = decided
        .solo
        .events
        .iter()
        .filter_map(|event| {
            let Event::WrongShares { validator, .. } = event else { return None };
            Some(*validator)
        })
        .collect();
    assert_eq!(blamed, vec![ValidatorIndex::new(0)]);
    assert_eq!(decided.solo.core.status().evidence_count, 1);
    decided.share(3);
    assert_eq!(decided.revealed(), HEIGHT);
    // With what it takes to judge them.
    let from = EvidenceCursor::at(Height::ZERO);
    let (kept, _) = archive::evidence(&decided.solo.store, &from, 10).unwrap();
    let [Kept::WrongShares(message)] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((message.validator, message.block), (ValidatorIndex::new(0), decided.block));
    let sharing = archive::sharing(&decided.solo.store, message.epoch).unwrap().unwrap();
    assert_eq!(&sharing.key, decided.solo.key.encryption_key());
    assert_eq!(sharing.holders, [0..1, 1..2, 2..3, 3..4]);
}

/// Shares of a block that nobody proposed, rightly signed.
fn stray(solo: &Solo, from: u16, salt: u8) -> Message {
    let block = BlockId::new([salt; 32]);
    let sealed = SealedBlock::new(&solo.key, HEIGHT, block, &[]).unwrap();
    Message::Shares(Arc::new(solo.shares_of(from, (HEIGHT, block), &sealed)))
}

#[test]
fn shares_of_another_block_are_evidence_whenever_they_come_and_kept_once() {
    let mut solo = Solo::of(4, 1);
    let early = stray(&solo, 0, 7);
    solo.hear(0, early);
    assert_eq!(solo.core.status().evidence_count, 0, "it may be decided yet");
    let mut decided = Decided::by(solo, 1);
    let late = stray(&decided.solo, 2, 8);
    let Message::Shares(unsigned) = late.clone() else { panic!("shares") };
    let mut unsigned = Arc::unwrap_or_clone(unsigned);
    unsigned.validator = ValidatorIndex::new(3);
    decided.solo.hear(3, Message::Shares(Arc::new(unsigned)));
    assert_eq!(decided.solo.penalties, 1, "nobody is accused by others");
    let again = [stray(&decided.solo, 0, 9), stray(&decided.solo, 2, 9)];
    decided.solo.hear(2, late);
    for (from, message) in [0, 2].into_iter().zip(again) {
        decided.solo.hear(from, message);
    }
    assert_eq!(decided.solo.core.status().evidence_count, 2);
    let from = EvidenceCursor::at(Height::ZERO);
    let (kept, _) = archive::evidence(&decided.solo.store, &from, 10).unwrap();
    let salts: Vec<_> = kept
        .iter()
        .map(|kept| {
            let Kept::StrayShares(message) = kept else { panic!("{kept:?}") };
            (message.validator.as_u16(), message.block.as_bytes()[0])
        })
        .collect();
    assert_eq!(salts, [(0, 7), (2, 8)]);
    // What they share of the chain's block is as good as anybody's.
    decided.share(0);
    decided.share(2);
    assert_eq!(decided.revealed(), HEIGHT);
}

#[test]
fn parts_of_the_wrong_size_or_from_strangers_are_refused() {
    let mut decided = Decided::new(70);
    let mut short = decided.part(1);
    short.openings.pop();
    decided.show(0, short);
    assert_eq!(decided.solo.penalties, 1);
    let message = Message::Part(Arc::new(decided.part(1)));
    decided.solo.input(Input::Message { from: Peer::Full(7), message });
    assert_eq!(decided.solo.penalties, 1);
    let mut unknown = decided.part(1);
    unknown.part = 3;
    decided.show(0, unknown);
    let mut other = decided.part(1);
    other.block = BlockId::ZERO;
    decided.show(0, other);
    assert_eq!(decided.solo.penalties, 1, "nor is what is merely of no use an offence");
    for (from, part) in [(0, 0), (2, 1), (3, 2)] {
        decided.show(from, decided.part(part));
    }
    assert_eq!(decided.revealed(), HEIGHT);
}

#[test]
fn parts_that_come_before_the_decision_are_kept_within_bounds() {
    let mut solo = Solo::of(4, 1);
    let most = solo.genesis.params.limits.block_bundles_max as usize + 1;
    let part = |height: u64, part: u16, count: usize| {
        let openings = vec![Opening::Point(G1Bytes::ZERO); count];
        let (height, block) = (Height::new(height), BlockId::ZERO);
        Message::Part(Arc::new(PartialOpening { height, block, part, openings }))
    };
    for number in 0..1_000 {
        solo.hear(0, part(1, number, 32));
        solo.hear(0, part(3, number, 32));
        solo.hear(2, part(2, number, 0));
    }
    let kept = &solo.core.reveals.early_parts;
    let openings: usize = kept.values().flatten().map(|part| part.openings.len()).sum();
    assert_eq!(kept.keys().map(|(height, _)| height.as_u64()).collect::<Vec<_>>(), [1]);
    assert!(openings <= most, "{openings}");
}

/// Validator 1 of four has proposed a block; what it was asked to do for that, and has not done.
fn proposed() -> (Solo, BlockId) {
    let mut solo = Solo::of(4, 1);
    let bundle = solo.bundle(0);
    solo.submit(bundle).unwrap();
    solo.held = Some(vec![]);
    let block = solo.run_to_proposal();
    (solo, block)
}

fn all_vote(solo: &mut Solo, kind: VoteKind, block: BlockId) {
    for voter in [0, 2, 3] {
        solo.vote(kind, voter, block);
    }
}

fn kinds(solo: &Solo) -> Vec<&'static str> {
    solo.held.iter().flatten().map(|(_, job)| job.kind()).collect()
}

#[test]
fn shares_are_computed_while_votes_are_under_way_and_leave_with_the_decision() {
    let (mut solo, block) = proposed();
    assert_eq!(kinds(&solo), ["share"]);
    solo.work();
    all_vote(&mut solo, VoteKind::Prevote, block);
    assert_eq!(solo.shared, vec![], "a quorum's prevotes decide nothing");
    assert_eq!(archive::own_shares(&solo.store, HEIGHT).unwrap(), None, "nor is any stored");
    solo.held = Some(vec![]);
    all_vote(&mut solo, VoteKind::Precommit, block);
    assert_eq!(solo.shared.len(), 1);
    assert_eq!(solo.shared[0].block, block);
    assert_eq!(archive::own_shares(&solo.store, HEIGHT).unwrap().as_ref(), Some(&*solo.shared[0]));
    assert!(!kinds(&solo).contains(&"share"), "nothing is computed twice: {:?}", kinds(&solo));
}

#[test]
fn shares_that_are_not_ready_at_the_decision_leave_as_soon_as_they_are() {
    let (mut solo, block) = proposed();
    all_vote(&mut solo, VoteKind::Prevote, block);
    all_vote(&mut solo, VoteKind::Precommit, block);
    assert_eq!(kinds(&solo), ["share"], "the job is under way, and not asked for again");
    assert_eq!(solo.shared, vec![]);
    solo.work();
    assert_eq!(solo.shared.len(), 1);
}

#[test]
fn shares_of_a_block_that_is_not_decided_are_forgotten() {
    let key = Arc::new(Solo::new().key);
    let other = Arc::new(Solo::new().key);
    let id = |salt| BlockId::new([salt; 32]);
    let shared = |salt| SharedBlock { height: HEIGHT, block: id(salt), sealed: None, shares: None };
    let mut ahead = AheadBlocks::default();
    ahead.done(shared(1));
    assert!(matches!(ahead.decided(HEIGHT, id(1), &key), Share::Unasked), "nobody asked for it");
    for salt in 1..=3 {
        let has_room = ahead.insert((HEIGHT, id(salt)), Arc::clone(&key));
        assert_eq!(has_room, salt < 3, "two blocks of a height, whoever shows how many");
    }
    ahead.done(shared(1));
    ahead.done(shared(2));
    assert!(
        matches!(ahead.decided(HEIGHT, id(2), &key), Share::Ready(found) if found.block == id(2))
    );
    assert!(matches!(ahead.decided(HEIGHT, id(1), &key), Share::Unasked));
    assert!(ahead.insert((HEIGHT, id(1)), Arc::clone(&key)));
    assert!(matches!(ahead.decided(HEIGHT, id(1), &key), Share::Asked));
    assert!(ahead.insert((HEIGHT, id(1)), Arc::clone(&key)));
    assert!(
        matches!(ahead.decided(HEIGHT, id(1), &other), Share::Unasked),
        "shares of another key"
    );
}

#[test]
fn shares_of_another_block_that_are_ready_after_the_decision_go_nowhere() {
    let mut decided = Decided::new(3);
    let sent = decided.solo.shared.clone();
    let other = BlockId::new([9; 32]);
    let sealed = SealedBlock::new(&decided.solo.key, HEIGHT, other, &[]).unwrap();
    let shares = decided.solo.shares_of(1, (HEIGHT, other), &sealed).shares;
    let sealed = Some(Arc::new(sealed));
    let late = SharedBlock { height: HEIGHT, block: other, sealed, shares: Some(shares) };
    decided.solo.core.on_shared(late);
    decided.solo.input(Input::Tick);
    assert_eq!(decided.solo.shared, sent, "signed by this validator, they would convict it");
    assert_eq!(archive::own_shares(&decided.solo.store, HEIGHT).unwrap().as_ref(), Some(&*sent[0]));
    decided.share(0);
    decided.share(2);
    assert_eq!(decided.revealed(), HEIGHT, "nor do they disturb the block that was");
}

#[test]
fn early_shares_of_another_epoch_from_too_far_ahead_or_too_many_are_not_kept() {
    let mut solo = Solo::of(4, 1);
    let shares = |solo: &Solo, from: u16, change: &dyn Fn(&mut ShareMessage)| {
        let Message::Shares(message) = stray(solo, from, 7) else { panic!("shares") };
        let mut message = Arc::unwrap_or_clone(message);
        change(&mut message);
        message.signature = solo.sign_shares(from, &message);
        Message::Shares(Arc::new(message))
    };
    let far = Height::ZERO.saturating_add(EARLY_MAX);
    let other_epoch = shares(&solo, 0, &|message| message.epoch = Epoch::new(1));
    let too_far = shares(&solo, 0, &|message| message.height = far.next());
    let too_many = shares(&solo, 0, &|message| message.shares = vec![message.shares[0]; 514]);
    for (message, penalties) in [(other_epoch, 0), (too_far, 0), (too_many, 1)] {
        solo.hear(0, message);
        assert_eq!((solo.core.reveals.early.len(), solo.penalties), (0, penalties));
    }
    let most = shares(&solo, 0, &|message| message.shares = vec![message.shares[0]; 513]);
    let furthest = shares(&solo, 2, &|message| message.height = far);
    for (from, message) in [(0, most), (2, furthest)] {
        solo.hear(from, message);
    }
    assert_eq!((solo.core.reveals.early.len(), solo.penalties), (2, 1));
}

#[test]
fn shares_too_many_or_too_few_are_left_out_and_are_no_evidence() {
    let mut decided = Decided::new(3);
    for (from, more) in [(0, true), (2, false)] {
        let mut misfit = decided.solo.shares_of(from, (HEIGHT, decided.block), &decided.sealed);
        if more {
            misfit.shares.push(misfit.shares[0]);
        } else {
            misfit.shares.pop();
        }
        misfit.signature = decided.solo.sign_shares(from, &misfit);
        decided.solo.hear(from, Message::Shares(Arc::new(misfit)));
    }
    let blamed = decided.solo.events.iter().filter_map(|event| {
        let Event::WrongShares { validator, .. } = event else { return None };
        Some(validator.as_u16())
    });
    assert_eq!(blamed.collect::<Vec<_>>(), [0, 2]);
    assert_eq!(decided.solo.core.status().evidence_count, 0);
    let from = EvidenceCursor::at(Height::ZERO);
    assert_eq!(archive::evidence(&decided.solo.store, &from, 10).unwrap().0, []);
    decided.share(3);
    assert_eq!(decided.revealed(), Height::ZERO, "two of three are left out for good");
}

#[test]
fn a_machine_that_does_not_know_what_it_has_signed_shares_nothing() {
    let mut decided = Decided::new(4);
    decided.solo.shared.clear();
    decided.solo.restart();
    assert_eq!(decided.solo.shared.len(), 1, "one that knows says it again");
    decided.solo.shared.clear();
    decided.solo.store.high_water = None;
    decided.solo.restart();
    assert_eq!(decided.solo.shared.len(), 0);
}
