//! What making a key and handing it on cost.

use conclave_encryption::{
    Dealing, Dkg, HolderKey, Holders, Message, Packing, SecretShare, Session, SessionId, Suite,
};
use conclave_types::{Epoch, Era, NetworkId, Round, ValidatorIndex};

use crate::{number, timed};

/// What making a key and handing it on cost one validator, every point being another's.
pub(crate) fn print(parties: &[usize]) {
    println!();
    println!("ms of one thread for one validator with one point: a fresh key, then a resharing");
    println!(
        "{:>4} {:>3} {:>3} {:>3} {:>8} | {:>8} {:>9} {:>9} {:>9} {:>8} | {:>9} | {:>9}",
        "n",
        "t",
        "l",
        "c",
        "dealings",
        "deal",
        "check",
        "decrypt",
        "finish",
        "share",
        "in all",
        "KB chain"
    );
    for parties in parties {
        let packing = Packing::for_parties(*parties).unwrap();
        let holders = Holders::one_each(*parties).unwrap();
        let id = |epoch| SessionId {
            network: NetworkId::new([3; 32]),
            era: Era::ZERO,
            epoch: Epoch::new(epoch),
            round: Round::ZERO,
        };
        let fresh = Session::fresh(id(1), Suite::Packed, holders.clone(), packing).unwrap();
        let (made, keys) = sharing(&fresh, *parties, |dkg, dealer| {
            dkg.deal(ValidatorIndex::new(dealer), &[5; 32]).unwrap()
        });
        let shares: Vec<SecretShare> =
            (0_u16..).zip(&keys).map(|(point, key)| made.my_share(key, point).unwrap()).collect();
        let old = (made.outcome().unwrap().key(), holders.clone());
        let reshare = Session::reshare(id(2), old, holders, packing).unwrap();
        let count = usize::from(reshare.required());
        sharing(&reshare, count, |dkg, dealer| {
            dkg.reshare(dealer, &shares[usize::from(dealer)], &[6; 32]).unwrap()
        });
    }
}

/// One sharing with `count` dealings, and a row about it.
fn sharing(
    session: &Session,
    count: usize,
    deal: impl Fn(&Dkg, u16) -> Dealing,
) -> (Dkg, Vec<HolderKey>) {
    let mut dkg = Dkg::new(session.clone());
    let validators = session.holders().iter().map(|(validator, _)| validator);
    let keys: Vec<HolderKey> =
        validators.map(|each| HolderKey::derive(session, each, &[4; 32])).collect();
    let mut bytes = 0;
    let (_, register) = timed(1, || {
        for key in &keys {
            let message = Message::Register(key.registration(session));
            bytes += message.encode().len();
            dkg.apply(key.validator(), &message).unwrap();
        }
    });
    dkg.close_registration().unwrap();
    let dealers = 0..u16::try_from(count).unwrap();
    let (messages, deal) = timed(count, || {
        let deal = |dealer| (dealer, Message::Deal(Box::new(deal(&dkg, dealer))));
        dealers.clone().map(deal).collect::<Vec<_>>()
    });
    let (_, check) = timed(1, || {
        for (dealer, message) in &messages {
            bytes += message.encode().len();
            let from = session.dealer(*dealer).unwrap();
            dkg.apply(from, message).unwrap();
        }
    });
    let key = &keys[keys.len() - 1];
    let (complaints, decrypt) = timed(1, || dkg.complaints(key));
    assert!(complaints.is_empty());
    dkg.close_dealing().unwrap();
    let (_, finish) = timed(1, || dkg.finish().unwrap());
    let (_, share) = timed(1, || dkg.my_share(key, key.validator().as_u16()).unwrap());
    let packing = session.packing();
    println!(
        "{:>4} {:>3} {:>3} {:>3} {count:>8} | {deal:>8.1} {check:>9.1} {decrypt:>9.1} \
         {finish:>9.1} {share:>8.1} | {:>9.1} | {:>9.1}",
        packing.parties(),
        packing.quorum(),
        packing.packing(),
        packing.secrecy(),
        register + deal + check + decrypt + finish + share,
        number(bytes) / 1024.0,
    );
    (dkg, keys)
}
