//! Committees that change: whom an attempt is for, and what is handed on to them.

use conclave_types::{
    CommitteeOffer, ConsensusKey, Member, PayerAddress, SettlementSecret, StrictVerifier,
    digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::testing::Memory;

fn signing_key(number: u32) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(number).unwrap(); 32])
}

fn member(number: u32, key: u32, power: u64) -> Member {
    Member {
        name: format!("v{number}"),
        consensus_key: ConsensusKey::new(signing_key(key).verifying_key().to_bytes()),
        network_key: ConsensusKey::new([u8::try_from(key).unwrap(); 32]),
        settlement_key: SettlementSecret::from_seed(&[u8::try_from(key).unwrap(); 32]).key(),
        validator: number,
        power,
    }
}

/// Members that keep the keys they began with.
fn offer(epoch: u64, members: &[(u32, u64)]) -> CommitteeOffer {
    let members = members.iter().map(|(number, power)| member(*number, *number, *power)).collect();
    CommitteeOffer { epoch: Epoch::new(epoch), members }
}

/// A network with an L1 in its first epoch with a key, which is due to end.
fn due() -> Chain {
    let mut genesis = genesis();
    genesis.l1_contract = PayerAddress::new([0xc0; 20]);
    genesis.members = (1..=COUNT.into()).map(|number| member(number, number, 1)).collect();
    let mut chain = Chain::of(genesis);
    chain.make_key();
    for _ in 0..30 {
        chain.block(&[], false).unwrap();
        assert!(chain.keys.attempt().is_none(), "nobody is offered");
    }
    chain
}

/// Who is to hold the shares of the attempt under way, and how many each.
fn holders(chain: &Chain) -> Vec<(u16, u16)> {
    let dkg = chain.attempt();
    let held = dkg.session().holders().iter().map(|(index, points)| (index, points.len()));
    let held = held.filter(|(_, points)| *points > 0);
    held.map(|(index, points)| (index.as_u16(), u16::try_from(points).unwrap())).collect()
}

/// Everyone who is to hold shares takes them, and says so.
fn take_over(chain: &mut Chain) {
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    let dkg = chain.attempt();
    let digest = dkg.outcome().unwrap().digest();
    let mut messages = Vec::new();
    for (from, _) in holders(chain) {
        for point in dkg.session().holders().points(ValidatorIndex::new(from)) {
            let share = dkg.my_share(&Chain::holder_key(&dkg, from), point).unwrap();
            chain.shares.insert((dkg.session().id().epoch, point), share);
        }
        messages.push(Chain::message(&dkg, from, &Message::Acknowledge(digest)));
    }
    chain.block(&messages, false).unwrap();
}

#[test]
fn the_key_is_handed_on_to_those_who_are_offered_by_their_power() {
    let mut chain = due();
    let before = chain.keys.newest().unwrap().clone();
    chain.keys.offered(&[offer(2, &[(2, 1), (3, 1), (4, 1), (9, 3)])]);
    chain.block(&[], false).unwrap();
    let held = holders(&chain);
    let [.., (joiner, points)] = held[..] else { panic!("{held:?}") };
    assert!(joiner == 4 && points > held[0].1, "{held:?}");
    chain.register(held.iter().map(|(index, _)| *index));
    chain.deal(0..COUNT);
    take_over(&mut chain);
    let after = chain.keys.newest().unwrap().clone();
    assert_eq!((after.epoch, after.key.id()), (Epoch::new(2), before.key.id()));
    let all: u16 = held.iter().map(|(_, points)| points).sum();
    assert!((0..all).all(|point| chain.shares[&(Epoch::new(2), point)].matches(&after.key, point)));
    // What the one who left kept is worth nothing, at any point.
    let kept = &chain.shares[&(Epoch::new(1), 0)];
    assert!((0..all).all(|point| !kept.matches(&after.key, point)));
    let members = |height| {
        let committee = chain.keys.committee_at(height);
        committee.iter().map(|(index, _)| index.as_u16()).collect::<Vec<_>>()
    };
    assert_eq!(members(after.first.previous().unwrap()), [0, 1, 2, 3]);
    assert_eq!(members(after.first), [1, 2, 3, 4]);
}

#[test]
fn what_is_no_committee_of_the_next_epoch_is_as_good_as_not_offered() {
    let twice =
        CommitteeOffer { epoch: Epoch::new(2), members: vec![member(2, 2, 1), member(2, 8, 1)] };
    let same_key =
        CommitteeOffer { epoch: Epoch::new(2), members: vec![member(2, 2, 1), member(3, 2, 1)] };
    let cases = [
        offer(1, &[(1, 1)]),
        offer(3, &[(1, 1)]),
        offer(2, &[]),
        offer(2, &[(1, 0)]),
        offer(2, &[(0, 1), (2, 1)]),
        offer(2, &[(1, 1 << 62), (2, 1 << 61), (3, 1 << 61)]),
        twice,
        same_key,
    ];
    for unusable in cases {
        let mut chain = due();
        chain.keys.offered(std::slice::from_ref(&unusable));
        chain.block(&[], false).unwrap();
        assert!(chain.keys.attempt().is_none(), "{unusable:?}");
        // One that was usable before stays.
        chain.keys.offered(&[offer(2, &[(1, 1), (2, 1)]), unusable]);
        chain.block(&[], false).unwrap();
        assert_eq!(holders(&chain), [(0, 1), (1, 1)]);
    }
}

#[test]
fn an_attempt_is_for_whom_it_began_with_and_the_next_for_whom_is_offered_since() {
    let mut chain = due();
    chain.keys.offered(&[offer(2, &[(1, 1), (2, 1), (3, 1), (7, 1)])]);
    chain.block(&[], false).unwrap();
    chain.keys.offered(&[offer(2, &[(2, 1), (3, 1), (4, 1), (8, 1)])]);
    chain.register([0, 1, 2, 4].into_iter());
    assert_eq!(holders(&chain), [(0, 1), (1, 1), (2, 1), (4, 1)]);
    chain.empty_until(|chain| chain.attempt().session().id().round == Round::new(1));
    // Whoever was to be a member keeps its index.
    assert_eq!(holders(&chain), [(1, 1), (2, 1), (3, 1), (5, 1)]);
    assert_eq!(chain.keys.roster().count(), 6);
}

#[test]
fn an_offer_for_the_epoch_after_next_waits_for_its_time() {
    let mut chain = due();
    chain.keys.offered(&[offer(3, &[(1, 1), (2, 1), (3, 1)]), offer(4, &[(1, 1)])]);
    chain.block(&[], false).unwrap();
    assert!(chain.keys.attempt().is_none(), "nobody is offered for the next one");
    chain.keys.offered(&[offer(2, &[(1, 1), (2, 1), (3, 1), (4, 1)])]);
    chain.block(&[], false).unwrap();
    chain.make_key();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    assert_eq!(chain.attempt().session().id().epoch, Epoch::new(3));
    assert_eq!(holders(&chain), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn members_who_do_not_come_make_room_for_whom_l1_offers_next() {
    let mut chain = due();
    let absent = offer(2, &[(1, 1), (7, 1), (8, 1), (9, 1)]);
    chain.keys.offered(std::slice::from_ref(&absent));
    chain.block(&[], false).unwrap();
    let first = chain.attempt().session().id();
    assert_eq!(chain.keys.wants_offer(chain.height), None, "they may come yet");
    // The time to register is over, and over again.
    for _ in 0..12 {
        chain.block(&[], false).unwrap();
    }
    assert_eq!(chain.attempt().session().id(), first);
    assert_eq!(chain.keys.wants_offer(chain.height), Some(Epoch::new(2)));
    // The same again helps nobody; others do.
    chain.keys.offered(&[absent]);
    chain.block(&[], false).unwrap();
    assert_eq!(chain.attempt().session().id(), first);
    chain.keys.offered(&[offer(2, &[(1, 1), (2, 1), (3, 1), (4, 1)])]);
    chain.block(&[], false).unwrap();
    let second = chain.attempt().session().id();
    assert_eq!((second.epoch, second.round), (first.epoch, first.round.next()));
    assert_eq!(holders(&chain), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    let reason = chain.changes.iter().find_map(|change| {
        let KeyChange::Failed { reason, .. } = change else { return None };
        Some(reason.as_str())
    });
    assert_eq!(reason, Some("too few came, and L1 offers another committee"));
}

#[test]
fn networks_without_an_l1_keep_their_committee_and_do_not_wait() {
    let mut chain = Chain::new();
    chain.make_key();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    assert_eq!(holders(&chain), [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_sender_signs_under_its_old_key_or_its_new_one_and_nobody_else_does() {
    let mut chain = due();
    let mut rotated = offer(2, &[(1, 1), (3, 1), (9, 1)]);
    rotated.members.push(member(2, 20, 1));
    chain.keys.offered(&[rotated]);
    chain.block(&[], false).unwrap();
    let dkg = chain.attempt();
    let domain = SigningDomain::of(&chain.genesis);
    let is_signed = |from: u16, key: u32| {
        let mut message = Chain::message(&dkg, from, &Message::Acknowledge(Default::default()));
        let signature = signing_key(key).sign(message.digest(&domain).as_bytes());
        message.signature = SignatureBytes::new(signature.to_bytes());
        chain.keys.is_signed(&message, &domain, &StrictVerifier)
    };
    for (from, key, signed) in [
        (0, 1, true),
        (1, 2, true),
        (1, 20, true),
        (3, 4, true),
        (4, 9, true),
        (0, 2, false),
        (1, 9, false),
        (4, 4, false),
        (5, 9, false),
    ] {
        assert_eq!(is_signed(from, key), signed, "from {from} under key {key}");
    }
}

#[test]
fn committees_survive_a_restart() {
    let mut chain = due();
    chain.keys.offered(&[offer(2, &[(2, 1), (3, 1), (4, 1), (9, 3)])]);
    chain.changes.clear();
    chain.block(&[], false).unwrap();
    let checkpoint = chain.keys.checkpoint(chain.height, &chain.changes).expect("an attempt");
    let bytes = borsh::to_vec(&checkpoint).unwrap();
    let again = Keys::restore(&chain.genesis, borsh::from_slice(&bytes).unwrap()).unwrap();
    let session = |keys: &Keys| keys.attempt().unwrap().session().digest();
    assert_eq!(session(&again), session(&chain.keys));
    let held = holders(&chain);
    chain.register(held.iter().map(|(index, _)| *index));
    chain.deal(0..COUNT);
    take_over(&mut chain);
    let first = chain.keys.newest().unwrap().first;
    chain.empty_until(|chain| chain.height > first && chain.keys.settled().is_none());
    chain.height = Height::new(1_000);
    let checkpoint = chain.keys.checkpoint(chain.height, &[]).expect("nothing is under way");
    let again = Keys::restore(&chain.genesis, checkpoint).unwrap();
    for height in [first.previous().unwrap(), first, Height::new(2_000)] {
        assert_eq!(again.committee_at(height), chain.keys.committee_at(height));
    }
    assert_eq!(again.roster(), chain.keys.roster());
    assert_eq!(
        again.newest().unwrap().members.holders(),
        chain.keys.newest().unwrap().members.holders()
    );
}

/// A validator alone in its first epoch with a key, who is due to hand that on.
fn alone() -> Solo {
    let mut solo = Solo::keyless(1, 0);
    let mut network = (*solo.genesis).clone();
    network.params.sharing = genesis().params.sharing;
    network.members[0].validator = 1;
    solo.genesis = Arc::new(network);
    solo.store = Memory::new();
    solo.restart();
    run_until(&mut solo, |solo| solo.core.keys().newest().is_some());
    solo
}

/// Another says something about the attempt under way.
fn say(solo: &mut Solo, from: u16, key: u32, content: &Message) {
    let dkg = solo.core.keys().attempt().unwrap().clone();
    let mut message = Chain::message(&dkg, from, content);
    let digest = message.digest(&SigningDomain::of(&solo.genesis));
    message.signature = SignatureBytes::new(signing_key(key).sign(digest.as_bytes()).to_bytes());
    let said = Said::Sharing(Arc::new(message));
    solo.input(Input::Message { from: Peer::Full(u64::from(from)), message: said });
}

/// Until the attempt among this validator and another has a result, which this validator has its share of.
fn share_with(solo: &mut Solo, from: u16, key: u32) -> Dkg {
    let session = solo.core.keys().attempt().unwrap().session().clone();
    let other = HolderKey::derive(&session, ValidatorIndex::new(from), &[7; 32]);
    say(solo, from, key, &Message::Register(other.registration(&session)));
    let own = ValidatorIndex::new(0);
    run_until(solo, |solo| solo.core.keys().attempt().unwrap().has_acknowledged(own));
    solo.core.keys().attempt().unwrap().clone()
}

#[test]
fn a_share_of_an_attempt_that_was_given_up_is_erased_and_none_of_the_next() {
    let mut solo = alone();
    let epoch = Epoch::new(2);
    solo.core.chain.keys.offered(&[offer(2, &[(1, 1), (2, 1)])]);
    run_until(&mut solo, |solo| solo.core.keys().attempt().is_some());
    let given_up = share_with(&mut solo, 1, 2);
    let name = SecretName::Share { epoch, point: 0 };
    let kept = solo.store.secrets[&name].clone();
    // The other has its share, too, and never says so. L1 offers somebody else.
    solo.core.chain.keys.offered(&[offer(2, &[(1, 1), (3, 1)])]);
    run_until(&mut solo, |solo| {
        let session = solo.core.keys().attempt().unwrap().session().clone();
        session.id().round == Round::new(1)
    });
    assert_eq!(solo.store.secrets.get(&name), None, "it is a share of the key as much as any");
    assert!(solo.core.own_sharing.share(epoch, 0).is_none());
    // Were it back after a crash before it was erased, it would not be taken for this attempt's.
    let back = Arc::new(SecretShare::from_bytes(kept.expose()).unwrap());
    assert!(back.matches(given_up.outcome().unwrap().key(), 0));
    solo.core.own_sharing.insert_share(epoch, 0, back);
    let dkg = share_with(&mut solo, 2, 3);
    let key = dkg.outcome().unwrap().key();
    assert!(solo.core.own_sharing.share(epoch, 0).unwrap().matches(key, 0));
    assert_ne!(solo.store.secrets[&name], kept);
}
