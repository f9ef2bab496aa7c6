//! Messages that make a key, judged in the state that they are for.

use conclave_encryption::{Dkg, HolderKey, Holders, Message, Packing, Session, SessionId, Suite};
use conclave_types::{Epoch, Era, NetworkId, Round, ValidatorIndex};

use crate::{fuzz, fuzz_slow};

const COUNT: u16 = 4;

fn key(dkg: &Dkg, holder: u16) -> HolderKey {
    let seed = [u8::try_from(holder).expect("small"); 32];
    HolderKey::derive(dkg.session(), ValidatorIndex::new(holder), &seed)
}

/// An attempt at each of its stages, with messages that are due.
fn stages() -> Vec<(Dkg, Vec<(ValidatorIndex, Message)>)> {
    let network = NetworkId::new([1; 32]);
    let id = SessionId { network, era: Era::ZERO, epoch: Epoch::new(1), round: Round::ZERO };
    let holders = Holders::one_each(usize::from(COUNT)).expect("few");
    let packing = Packing::for_parties(usize::from(COUNT)).expect("few");
    let mut dkg = Dkg::new(Session::fresh(id, Suite::Packed, holders, packing).expect("fits"));
    let mut stages = Vec::new();
    let all = || (0..COUNT).map(ValidatorIndex::new);
    let register = |dkg: &Dkg, holder: ValidatorIndex| {
        Message::Register(key(dkg, holder.as_u16()).registration(dkg.session()))
    };
    let due: Vec<_> = all().map(|holder| (holder, register(&dkg, holder))).collect();
    stages.push((dkg.clone(), due.clone()));
    for (from, message) in due {
        dkg.apply(from, &message).expect("registers");
    }
    dkg.close_registration().expect("all are here");
    let wrong = dkg.deal_wrongly(ValidatorIndex::new(0), &[9; 32], 2);
    let wrong = (ValidatorIndex::new(0), Message::Deal(Box::new(wrong)));
    let deal = |dealer| Message::Deal(Box::new(dkg.deal(dealer, &[7; 32]).expect("deals")));
    let due: Vec<_> = all().skip(1).map(|dealer| (dealer, deal(dealer))).chain([wrong]).collect();
    stages.push((dkg.clone(), due.clone()));
    for (from, message) in due {
        dkg.apply(from, &message).expect("deals");
    }
    dkg.close_dealing().expect("in time");
    let complaint = |holder: ValidatorIndex| {
        let complaints = dkg.complaints(&key(&dkg, holder.as_u16()));
        complaints.into_iter().map(move |complaint| (holder, Message::Complain(complaint)))
    };
    let due: Vec<_> = all().flat_map(complaint).collect();
    assert!(!due.is_empty(), "validator 0 has dealt wrongly");
    stages.push((dkg.clone(), due));
    dkg.finish().expect("enough stand");
    let digest = dkg.outcome().expect("finished").digest();
    stages.push((dkg, all().map(|holder| (holder, Message::Acknowledge(digest))).collect()));
    stages
}

#[test]
fn sharing_message() {
    let stages = stages();
    let corpus: Vec<_> = stages
        .iter()
        .flat_map(|(_, due)| due.iter().map(|(_, message)| message.encode()))
        .collect();
    fuzz("sharing message", &corpus, |bytes| {
        if let Ok(message) = Message::decode(bytes) {
            assert_eq!(message.encode(), bytes, "two encodings of one message");
        }
    });
}

#[test]
fn sharing_message_in_its_stage() {
    for (dkg, due) in stages() {
        let corpus: Vec<_> = due.iter().map(|(_, message)| message.encode()).collect();
        fuzz_slow("sharing message in its stage", &corpus, |bytes| {
            let Ok(message) = Message::decode(bytes) else { return };
            let mut dkg = dkg.clone();
            for from in (0..=COUNT).map(ValidatorIndex::new) {
                let honest = due.iter().any(|(of, each)| *of == from && *each == message);
                let is_registration = matches!(message, Message::Register(_));
                let taken = dkg.apply(from, &message).is_ok();
                // A key is bound to its owner, a dealing to its dealer, a complaint to its point.
                assert!(
                    !taken || honest || !is_registration,
                    "somebody else's registration counts"
                );
            }
        });
    }
}
