//! Making and handing on the key, block by block, with what validators can do wrong. Nothing here is a
//! network: blocks are what the test puts into them.

mod committees;
mod eras;
mod erasing;
mod gossip;
mod preparing;
mod replays;

use std::{collections::BTreeMap, sync::Arc};

use conclave_encryption::{Dkg, HolderKey, Message, Phase, Refusal, SecretShare};
use conclave_types::{
    Epoch, Genesis, Height, HeightDelta, KeyId, Round, SharingMessage, SignatureBytes,
    ValidatorIndex,
};

use super::{KeyChange, Keys, NOTICE, SharingOffence, check_message};
use crate::{
    Input, Message as Said, Peer, Rejection, SecretBytes, SecretName, Store as _,
    keys::BadSharing,
    testing::{Solo, network},
};

const COUNT: u16 = 4;

fn genesis() -> Genesis {
    let (mut genesis, _) = network(usize::from(COUNT));
    genesis.encryption_key = None;
    (11..).zip(&mut genesis.members).for_each(|(number, member)| member.validator = number);
    let sharing = &mut genesis.params.sharing;
    sharing.stage_heights = HeightDelta::new(5);
    sharing.complaint_heights = HeightDelta::new(3);
    sharing.repair_heights = HeightDelta::new(20);
    sharing.epoch_heights = HeightDelta::new(10);
    genesis
}

/// A chain of blocks with sharing messages in them, and what each validator keeps to itself.
struct Chain {
    genesis: Genesis,
    keys: Keys,
    height: Height,
    revealed: Height,
    changes: Vec<KeyChange>,
    shares: BTreeMap<(Epoch, u16), SecretShare>,
}

impl Chain {
    fn new() -> Self {
        Self::of(genesis())
    }

    fn of(genesis: Genesis) -> Self {
        Self {
            keys: Keys::new(&genesis, None).unwrap(),
            genesis,
            height: Height::ZERO,
            revealed: Height::ZERO,
            changes: Vec::new(),
            shares: BTreeMap::new(),
        }
    }

    fn attempt(&self) -> Dkg {
        self.keys.attempt().expect("an attempt is under way").clone()
    }

    fn seed(dkg: &Dkg, from: u16) -> [u8; 32] {
        let id = dkg.session().id();
        let mut seed = [u8::try_from(from).unwrap() + 1; 32];
        seed[0] = u8::try_from(id.epoch.as_u64()).unwrap();
        seed[1] = u8::try_from(id.round.as_u32()).unwrap();
        seed
    }

    fn holder_key(dkg: &Dkg, from: u16) -> HolderKey {
        HolderKey::derive(dkg.session(), ValidatorIndex::new(from), &Self::seed(dkg, from))
    }

    fn message(dkg: &Dkg, from: u16, content: &Message) -> SharingMessage {
        let id = dkg.session().id();
        SharingMessage {
            epoch: id.epoch,
            round: id.round,
            from: ValidatorIndex::new(from),
            content: content.encode(),
            signature: SignatureBytes::new([0; 64]),
        }
    }

    /// A block with these messages. Says what it refused.
    fn block(&mut self, messages: &[SharingMessage], bundles: bool) -> Result<(), BadSharing> {
        let mut keys = self.keys.clone();
        let mut changes = Vec::new();
        for message in messages {
            let checked = check_message(keys.sharing_of(message)?, message)?;
            changes.extend(keys.take(message, checked)?);
        }
        assert!(!bundles || keys.takes_bundles(self.height.next()));
        self.height = self.height.next();
        changes.extend(keys.end_block(self.height, self.revealed, bundles));
        self.keys = keys;
        self.changes.extend(changes);
        Ok(())
    }

    fn empty_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..100 {
            if done(self) {
                return;
            }
            self.block(&[], false).unwrap();
        }
        panic!("that never happens; changes so far: {:?}", self.changes);
    }

    fn registrations(dkg: &Dkg, who: impl Iterator<Item = u16>) -> Vec<SharingMessage> {
        who.map(|from| {
            let registration = Self::holder_key(dkg, from).registration(dkg.session());
            Self::message(dkg, from, &Message::Register(registration))
        })
        .collect()
    }

    fn dealing(&self, dkg: &Dkg, from: u16) -> Message {
        let seed = Self::seed(dkg, from + 50);
        let dealing = match dkg.session().old_key() {
            None => dkg.deal(ValidatorIndex::new(from), &seed),
            Some(_) => {
                let old = dkg.session().id().epoch.as_u64() - 1;
                dkg.reshare(from, &self.shares[&(Epoch::new(old), from)], &seed)
            }
        };
        Message::Deal(Box::new(dealing.unwrap()))
    }

    fn register(&mut self, who: impl Iterator<Item = u16>) {
        let messages = Self::registrations(&self.attempt(), who);
        self.block(&messages, false).unwrap();
        self.empty_until(|chain| chain.attempt().phase() != Phase::Registering);
    }

    fn deal(&mut self, who: impl Iterator<Item = u16>) {
        let dkg = self.attempt();
        let messages: Vec<_> =
            who.map(|from| Self::message(&dkg, from, &self.dealing(&dkg, from))).collect();
        self.block(&messages, false).unwrap();
        self.empty_until(|chain| chain.attempt().phase() != Phase::Dealing);
    }

    /// Those take their shares of the result, and say so.
    fn acknowledge(&mut self, who: impl Iterator<Item = u16>) {
        let dkg = self.attempt();
        let mut messages = Vec::new();
        for from in who {
            let share = dkg.my_share(&Self::holder_key(&dkg, from), from).unwrap();
            self.shares.insert((dkg.session().id().epoch, from), share);
            let digest = dkg.outcome().unwrap().digest();
            messages.push(Self::message(&dkg, from, &Message::Acknowledge(digest)));
        }
        self.block(&messages, false).unwrap();
    }

    /// An attempt in which everyone does what it should.
    fn make_key(&mut self) {
        self.register(0..COUNT);
        self.deal(0..COUNT);
        self.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
        self.acknowledge(0..COUNT);
        self.empty_until(|chain| chain.keys.attempt().is_none());
        let first = self.keys.newest().expect("there is a key").first;
        self.empty_until(|chain| chain.height.next() == first);
    }

    fn offences(&self) -> Vec<(u16, SharingOffence)> {
        let offence = |change: &KeyChange| {
            let KeyChange::Offence { validator, offence } = change else { return None };
            Some((validator.as_u16(), *offence))
        };
        self.changes.iter().filter_map(offence).collect()
    }
}

/// Reveals one height after the other until that is so.
fn run_until(solo: &mut Solo, done: impl Fn(&Solo) -> bool) {
    for _ in 0..200 {
        if done(solo) {
            return;
        }
        solo.run_to(solo.core.status().revealed.as_u64() + 1);
    }
    panic!("that never happens: {:?}", solo.core.status());
}

#[test]
fn epoch_0_makes_the_key_and_bundles_begin_with_epoch_1() {
    let mut chain = Chain::new();
    assert!(!chain.keys.takes_bundles(Height::new(1)));
    assert_eq!(chain.keys.id_at(Height::new(1)), KeyId::ZERO);
    chain.make_key();
    let key = chain.keys.newest().unwrap().clone();
    assert_eq!(key.epoch, Epoch::new(1));
    assert!(chain.shares.iter().all(|((_, party), share)| share.matches(&key.key, *party)));
    let last = key.first.previous().unwrap();
    assert_eq!(chain.keys.epochs().at(last), Epoch::ZERO);
    assert!(chain.keys.at(last).is_none() && !chain.keys.takes_bundles(last));
    assert_eq!(chain.keys.epochs().at(key.first), Epoch::new(1));
    assert!(chain.keys.takes_bundles(key.first));
    assert_eq!(chain.keys.id_at(key.first), key.key.id());
}

#[test]
fn the_key_is_handed_on_to_other_shares_and_stays_the_same() {
    let mut chain = Chain::new();
    chain.make_key();
    let before = chain.keys.newest().unwrap().clone();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain.make_key();
    let after = chain.keys.newest().unwrap().clone();
    assert_eq!((after.epoch, after.key.id()), (Epoch::new(2), before.key.id()));
    for party in 0..COUNT {
        let share = &chain.shares[&(Epoch::new(2), party)];
        assert!(share.matches(&after.key, party) && !share.matches(&before.key, party));
    }
}

#[test]
fn an_epoch_does_not_end_before_its_bundles_are_opened() {
    let mut chain = Chain::new();
    chain.make_key();
    chain.revealed = chain.height;
    chain.block(&[], true).unwrap();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    let sealed = chain.height.next();
    chain.block(&[], true).unwrap();
    chain.acknowledge(0..COUNT);
    assert!(!chain.keys.takes_bundles(chain.height.next()), "the epoch drains");
    for _ in 0..5 {
        chain.block(&[], false).unwrap();
        assert_eq!(chain.keys.newest().unwrap().epoch, Epoch::new(1));
    }
    chain.revealed = sealed;
    chain.block(&[], false).unwrap();
    let newest = chain.keys.newest().unwrap();
    assert_eq!((newest.epoch, newest.first), (Epoch::new(2), chain.height.saturating_add(NOTICE)));
    assert!(!chain.keys.takes_bundles(chain.height.next()), "its end is near");
    assert!(chain.keys.takes_bundles(newest.first));
}

#[test]
fn too_few_dealings_lead_to_another_round_and_blocks_go_on() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    chain.deal(0..2);
    let old = chain.attempt();
    let late = Chain::message(&old, 3, &Message::Acknowledge(conclave_types::Digest::ZERO));
    chain.empty_until(|chain| chain.attempt().session().id().round == Round::new(1));
    assert!(matches!(
        chain.changes.as_slice(),
        [.., KeyChange::Failed { round, .. }, KeyChange::Attempt { round: next, .. }]
            if *round == Round::ZERO && *next == Round::new(1)
    ));
    let refused = chain.block(&[late], false);
    assert_eq!(refused, Err(BadSharing::OtherAttempt { epoch: 1, round: 0 }));
    chain.make_key();
    assert_eq!(chain.keys.newest().unwrap().epoch, Epoch::new(1));
}

#[test]
fn too_few_registrations_get_more_time() {
    let mut chain = Chain::new();
    let messages = Chain::registrations(&chain.attempt(), 0..2);
    chain.block(&messages, false).unwrap();
    for _ in 0..20 {
        chain.block(&[], false).unwrap();
        assert_eq!(chain.attempt().phase(), Phase::Registering);
    }
    assert!(!chain.keys.is_busy(chain.height), "nobody hurries for who is away");
    chain.register(2..3);
    assert_eq!(chain.attempt().phase(), Phase::Dealing);
}

#[test]
fn a_wrong_dealing_is_out_and_its_dealer_is_named() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    let dkg = chain.attempt();
    let bad = dkg.deal_wrongly(ValidatorIndex::new(0), &[5; 32], 2);
    chain.block(&[Chain::message(&dkg, 0, &Message::Deal(Box::new(bad)))], false).unwrap();
    chain.deal(1..COUNT);
    let dkg = chain.attempt();
    let complaints = dkg.complaints(&Chain::holder_key(&dkg, 1));
    let complaint = Chain::message(&dkg, 1, &Message::Complain(complaints[0].clone()));
    chain.block(std::slice::from_ref(&complaint), false).unwrap();
    assert_eq!(chain.offences(), [(0, SharingOffence::BadDealing)]);
    assert_eq!(chain.keys.cheats(), [11], "by the number under which it would be paid");
    let again = chain.block(&[complaint], false);
    assert_eq!(again, Err(BadSharing::Refused(Refusal::AlreadyProved { dealer: 0 })));
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    assert!(chain.attempt().outcome().unwrap().qualified().eq(1..COUNT));
    chain.acknowledge(1..COUNT);
    assert!(chain.keys.newest().is_some());
}

/// Whoever has a bad dealing of its own on the chain, and all proposals of the time for complaints, would else have it
/// stand: proposers of equal power take turns.
#[test]
fn a_complaint_has_as_long_as_everyone_takes_to_propose_once() {
    let mut genesis = genesis();
    genesis.params.sharing.complaint_heights = HeightDelta::new(1);
    let mut chain = Chain::of(genesis);
    chain.register(0..COUNT);
    let dkg = chain.attempt();
    let bad = dkg.deal_wrongly(ValidatorIndex::new(0), &[5; 32], 2);
    chain.block(&[Chain::message(&dkg, 0, &Message::Deal(Box::new(bad)))], false).unwrap();
    chain.deal(1..COUNT);
    for _ in 1..COUNT {
        chain.block(&[], false).unwrap();
        assert_eq!(chain.attempt().phase(), Phase::Complaining);
    }
    let dkg = chain.attempt();
    let complaint = dkg.complaints(&Chain::holder_key(&dkg, 1)).remove(0);
    chain.block(&[Chain::message(&dkg, 1, &Message::Complain(complaint))], false).unwrap();
    assert!(chain.attempt().outcome().unwrap().qualified().eq(1..COUNT));
}

#[test]
fn a_result_that_too_few_have_their_shares_of_leads_to_another_round() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    let finished = chain.height;
    chain.acknowledge(0..2);
    while chain.height < finished.saturating_add(HeightDelta::new(19)) {
        chain.block(&[], false).unwrap();
        assert_eq!(chain.attempt().session().id().round, Round::ZERO, "it may be repaired yet");
    }
    chain.block(&[], false).unwrap();
    let Some(KeyChange::Failed { reason, .. }) = chain.changes.iter().rev().nth(1) else {
        panic!("{:?}", chain.changes)
    };
    assert_eq!(reason, "too few have their shares of the result");
    assert_eq!(chain.attempt().session().id().round, Round::new(1));
    chain.make_key();
    assert_eq!(chain.keys.newest().unwrap().epoch, Epoch::new(1));
}

#[test]
fn a_complaint_without_a_reason_is_its_authors_offence() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    let dkg = chain.attempt();
    let complaint = dkg.complain_anyway(&Chain::holder_key(&dkg, 3), 1).unwrap();
    let complaint = Chain::message(&dkg, 3, &Message::Complain(complaint));
    chain.block(&[complaint], false).unwrap();
    assert_eq!(chain.offences(), [(3, SharingOffence::FalseComplaint)]);
    assert_eq!(chain.keys.cheats(), [14]);
    chain.block(&[], false).unwrap();
    assert_eq!(chain.keys.cheats(), [0; 0], "once is enough");
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    assert!(chain.attempt().outcome().unwrap().qualified().eq(0..COUNT));
}

#[test]
fn a_complaint_that_comes_late_leads_to_a_repair() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    let dkg = chain.attempt();
    let bad = dkg.deal_wrongly(ValidatorIndex::new(0), &[5; 32], 2);
    chain.block(&[Chain::message(&dkg, 0, &Message::Deal(Box::new(bad)))], false).unwrap();
    chain.deal(1..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    let dkg = chain.attempt();
    let key = Chain::holder_key(&dkg, 1);
    assert!(dkg.my_share(&key, 1).is_err());
    let complaint = dkg.complaint(&key, 0).unwrap();
    chain.block(&[Chain::message(&dkg, 1, &Message::Complain(complaint))], false).unwrap();
    assert_eq!(chain.offences(), [(0, SharingOffence::BadDealing)]);
    for from in 0..COUNT {
        let dkg = chain.attempt();
        let disclosures = dkg.disclosures(&Chain::holder_key(&dkg, from));
        let messages: Vec<_> = disclosures
            .into_iter()
            .map(|disclosure| Chain::message(&dkg, from, &Message::Disclose(disclosure)))
            .collect();
        chain.block(&messages, false).unwrap();
    }
    // Two right evaluations are public, which with c = 2 and ℓ = 1 is one too few: the validator that was
    // dealt something wrong goes without a share until the key is handed on, and nobody waits for it.
    let dkg = chain.attempt();
    let has_share = |from: u16| dkg.my_share(&Chain::holder_key(&dkg, from), from).is_ok();
    assert_eq!([0, 1, 2, 3].map(has_share), [false, false, true, true]);
}

#[test]
fn a_block_takes_each_message_once_and_from_its_sender_only() {
    let mut chain = Chain::new();
    let dkg = chain.attempt();
    let messages = Chain::registrations(&dkg, 0..1);
    let twice = [messages[0].clone(), messages[0].clone()];
    let from = ValidatorIndex::new(0);
    let again = Err(BadSharing::Refused(Refusal::AlreadyRegistered { from }));
    assert_eq!(chain.block(&twice, false), again);
    assert_eq!(chain.height, Height::ZERO, "a refused message leaves no trace");
    let stolen = SharingMessage { from: ValidatorIndex::new(1), ..messages[0].clone() };
    let proof = Err(BadSharing::Refused(Refusal::Proof { name: "holder key" }));
    assert_eq!(chain.block(&[stolen], false), proof);
    let garbage = SharingMessage { content: vec![9; 9], ..messages[0].clone() };
    assert!(matches!(chain.block(&[garbage], false), Err(BadSharing::Malformed { .. })));
    chain.block(&messages, false).unwrap();
    assert_eq!(chain.block(&messages, false), again);
}

#[test]
fn a_recorded_state_and_the_blocks_since_give_the_same_keys() {
    let mut chain = Chain::new();
    chain.make_key();
    chain.changes.clear();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    let checkpoint =
        chain.keys.checkpoint(chain.height, &chain.changes).expect("an attempt begins");
    let mut again = Keys::restore(&chain.genesis, checkpoint).unwrap();
    let mut other = chain.keys.clone();
    let messages = Chain::registrations(&chain.attempt(), 0..COUNT);
    for keys in [&mut again, &mut other] {
        for message in &messages {
            let checked = check_message(keys.sharing_of(message).unwrap(), message).unwrap();
            keys.take(message, checked).unwrap();
        }
        let changes = keys.end_block(chain.height.next(), chain.revealed, false);
        assert_eq!(changes, [KeyChange::Phase(Phase::Dealing)]);
    }
    for height in [0, 1, 20, 1_000].map(Height::new) {
        assert_eq!(again.id_at(height), other.id_at(height));
        assert_eq!(again.epochs().at(height), other.epochs().at(height));
    }
}

#[test]
fn a_validator_alone_makes_its_key_through_crashes_and_opens_what_is_sealed_to_it() {
    let mut solo = Solo::keyless(1, 0);
    let early = solo.bundle(0);
    assert_eq!(solo.submit(early), Err(Rejection::NoKey));
    let mut height = 0;
    while solo.core.keys().at(solo.core.status().decided).is_none() {
        height += 1;
        assert!(height < 100, "no key: {:?}", solo.core.status());
        solo.run_to(height);
        // What it has said rests on secrets that are on the disk.
        solo.restart();
    }
    let key = solo.core.keys().newest().unwrap().clone();
    let share = SecretName::Share { epoch: Epoch::new(1), point: 0 };
    assert!(solo.store.secrets().unwrap().iter().any(|(name, _)| *name == share));
    // A share that is not this key's stays silent.
    let epoch = Epoch::new(1);
    let right = solo.store.secrets.insert(share, SecretBytes::new([3; 32])).unwrap();
    solo.restart();
    assert!(solo.core.own_sharing.share(epoch, 0).is_none());
    solo.store.secrets.insert(share, right);
    solo.restart();
    assert!(solo.core.own_sharing.share(epoch, 0).is_some());
    solo.key = (*key.key).clone();
    let bundle = solo.bundle(0);
    let id = bundle.id();
    solo.submit(bundle).unwrap();
    solo.run_to(solo.core.status().decided.as_u64() + 2);
    let revealed = solo.events.iter().any(|event| {
        let crate::Event::Revealed { block, .. } = event else { return false };
        block.bundles.iter().any(|bundle| bundle.id == id)
    });
    assert!(revealed, "what was sealed to the new key is opened");
}

#[test]
fn what_is_said_about_a_key_is_signed_bounded_and_of_use() {
    let mut solo = Solo::keyless(4, 0);
    let waiting = |solo: &Solo| solo.core.sharing.len();
    // Its own registration, which waits for a block.
    solo.input(Input::Tick);
    let own = waiting(&solo);
    let forged = SharingMessage { from: ValidatorIndex::new(2), ..solo.sharing(1, vec![1], 0) };
    solo.hear(1, Said::Sharing(Arc::new(forged)));
    assert_eq!((waiting(&solo), solo.penalties), (own, 1), "nobody speaks for another");
    let late = solo.sharing(1, vec![1], 7);
    solo.hear(1, Said::Sharing(Arc::new(late)));
    let stranger = Said::Sharing(Arc::new(solo.sharing(1, vec![2], 0)));
    solo.input(Input::Message { from: Peer::Full(3), message: stranger });
    assert_eq!((waiting(&solo), solo.penalties), (own, 1), "of no use, and no fault");
    // Junk that is signed is judged, and gone.
    solo.hear(1, Said::Sharing(Arc::new(solo.sharing(1, vec![3], 0))));
    assert_eq!(waiting(&solo), own);
    // As long as nothing is judged, as much waits as an honest validator may have to say.
    solo.held = Some(vec![]);
    for number in 0..20_u8 {
        let large = solo.sharing(2, vec![number; 100_000], 0);
        solo.hear(2, Said::Sharing(Arc::new(large)));
    }
    assert_eq!(waiting(&solo), own + 10, "a mebibyte each");
    for number in 0..600_u16 {
        let small = solo.sharing(3, number.to_be_bytes().to_vec(), 0);
        solo.hear(3, Said::Sharing(Arc::new(small)));
    }
    assert_eq!(waiting(&solo), own + 10 + 512);
}

/// Heights for which a key is in force beside that of the next era.
const OVERLAP: u64 = 12;

/// A validator alone, whose key is handed on, or made anew, with each of its short epochs.
fn alone_with_eras(era_epochs: u64) -> Solo {
    let mut solo = Solo::keyless(1, 0);
    let mut network = (*solo.genesis).clone();
    network.params.sharing = genesis().params.sharing;
    network.params.sharing.era_epochs = era_epochs;
    network.params.sharing.overlap_heights = HeightDelta::new(OVERLAP);
    solo.genesis = Arc::new(network);
    solo.store = crate::testing::Memory::new();
    solo.restart();
    solo
}
