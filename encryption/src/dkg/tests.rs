//! The sharing over the chain: what it gives, and what it must withstand.

use std::collections::BTreeSet;

use conclave_types::{BlockId, Epoch, Era, G1Bytes, Height, Leg, NetworkId, Round};
use ff::Field as _;

use super::*;
use crate::{
    Encapsulation, Packing, PublicKey, SealedBlock, SecretShare, Suite, open_bundle, seal,
    secret::Secret,
    tests::{SEED, bare, capsule, header, leg, network, rng, scalar, secret_of},
};

mod attacks;
mod differential;
mod encoding;
mod fresh;
mod random;
mod repairing;
mod resharing;
mod vectors;

fn v(index: u16) -> ValidatorIndex {
    ValidatorIndex::new(index)
}

fn id(epoch: u64, round: u32) -> SessionId {
    SessionId {
        network: network(),
        era: Era::ZERO,
        epoch: Epoch::new(epoch),
        round: Round::new(round),
    }
}

fn session(tickets: &[u16]) -> Session {
    session_of(Suite::Packed, tickets)
}

fn session_of(suite: Suite, tickets: &[u16]) -> Session {
    let holders = Holders::new(tickets).unwrap();
    let packing = suite.packing(holders.point_count().into(), 0).unwrap();
    Session::fresh(id(1, 0), suite, holders, packing).unwrap()
}

fn reshare(old: &Run, tickets: &[u16], epoch: u64) -> Session {
    let holders = Holders::new(tickets).unwrap();
    let suite = old.dkg.session().suite();
    let packing = suite.packing(holders.point_count().into(), 0).unwrap();
    let dealers = old.dkg.session().holders().clone();
    Session::reshare(id(epoch, 0), (old.key(), dealers), holders, packing).unwrap()
}

/// The keys of all validators; those without a ticket have one that they cannot register.
fn keys(session: &Session) -> Vec<HolderKey> {
    let seed = |validator: ValidatorIndex| [validator.as_u16().to_be_bytes()[1]; 32];
    let validators = session.holders().iter();
    validators.map(|(each, _)| HolderKey::derive(session, each, &seed(each))).collect()
}

/// An attempt with the registration of `present` closed.
fn registered(session: &Session, present: impl Fn(u16) -> bool) -> (Dkg, Vec<HolderKey>) {
    let mut dkg = Dkg::new(session.clone());
    let keys = keys(session);
    for (validator, points) in session.holders().iter() {
        if !points.is_empty() && present(validator.as_u16()) {
            let message = keys[validator.as_usize()].registration(session);
            let event = dkg.apply(validator, &Message::Register(message)).unwrap();
            assert_eq!(event, Event::Registered { holder: validator });
        }
    }
    dkg.close_registration().unwrap();
    (dkg, keys)
}

fn seed(dealer: u16) -> [u8; 32] {
    let mut seed = [0xd0; 32];
    seed[..2].copy_from_slice(&dealer.to_be_bytes());
    seed
}

/// Posts a dealing and says whose it is.
fn post(dkg: &mut Dkg, dealing: Dealing) -> Result<Event, Refusal> {
    let from = dkg.session().dealer(dealing.dealer()).unwrap();
    dkg.apply(from, &Message::Deal(Box::new(dealing)))
}

/// A finished attempt with everything, the shares of all registered points included.
struct Run {
    dkg: Dkg,
    keys: Vec<HolderKey>,
    shares: Vec<(u16, SecretShare)>,
}

impl Run {
    fn fresh(tickets: &[u16]) -> Self {
        Self::fresh_of(Suite::Packed, tickets)
    }

    fn fresh_of(suite: Suite, tickets: &[u16]) -> Self {
        let (mut dkg, keys) = registered(&session_of(suite, tickets), |_| true);
        for (validator, _) in dkg.session().holders().clone().iter() {
            if dkg.session().dealer(validator.as_u16()).is_some() {
                let dealing = dkg.deal(validator, &seed(validator.as_u16())).unwrap();
                post(&mut dkg, dealing).unwrap();
            }
        }
        Self::finish(dkg, keys)
    }

    /// A resharing of `old` by the old points in `dealers`.
    fn reshared(old: &Run, session: &Session, dealers: impl IntoIterator<Item = u16>) -> Self {
        let (mut dkg, keys) = registered(session, |_| true);
        old.deal(&mut dkg, dealers);
        Self::finish(dkg, keys)
    }

    fn deal(&self, dkg: &mut Dkg, dealers: impl IntoIterator<Item = u16>) {
        for point in dealers {
            let dealing = dkg.reshare(point, self.share(point), &seed(point)).unwrap();
            assert_eq!(post(dkg, dealing), Ok(Event::Dealt { dealer: point }));
        }
    }

    fn finish(mut dkg: Dkg, keys: Vec<HolderKey>) -> Self {
        dkg.close_dealing().unwrap();
        dkg.finish().unwrap();
        let mut shares = Vec::new();
        for (validator, points) in dkg.session().holders().iter() {
            let key = &keys[validator.as_usize()];
            if dkg.roster.key(validator).is_some() {
                let share = |point| (point, dkg.my_share(key, point).unwrap());
                shares.extend(points.map(share));
            }
        }
        Self { dkg, keys, shares }
    }

    fn outcome(&self) -> &Outcome {
        self.dkg.outcome().unwrap()
    }

    fn key(&self) -> &PublicKey {
        self.outcome().key()
    }

    fn share(&self, point: u16) -> &SecretShare {
        &self.shares.iter().find(|(each, _)| *each == point).unwrap().1
    }

    /// The secret key, which nobody ever computes: out of the shares at the first c + 1 points.
    fn secret(&self) -> Scalar {
        let shares: Vec<SecretShare> = (0..=self.key().packing().secrecy())
            .map(|point| SecretShare::from_bytes(&self.share(point).to_bytes()).unwrap())
            .collect();
        secret_of(&shares, self.key().packing())
    }

    /// Every share is what the result says, and together they are the key.
    fn assert_sound(&self) {
        for (point, share) in &self.shares {
            assert!(share.matches(self.key(), *point), "point {point}");
        }
        let secret = self.secret();
        let public = blstrs::G1Projective::from(self.key().sealing_key().point());
        assert_eq!(<blstrs::G1Projective as group::Group>::generator() * secret, public);
        // Not only the first ones: a polynomial of degree c + ℓ − 1 through all of them.
        let packing = self.key().packing();
        let places: Vec<Scalar> =
            self.shares.iter().map(|(point, _)| Scalar::from(u64::from(*point) + 1)).collect();
        let count = usize::from(packing.coefficients());
        for (place, (point, share)) in places.iter().zip(&self.shares).skip(count) {
            let near = self.shares.iter().zip(&places).take(count);
            let value: Scalar = near
                .map(|((_, share), x)| {
                    let others = places.iter().take(count).filter(|other| *other != x);
                    let weight = others.fold(Scalar::ONE, |product, other| {
                        product * (place - other) * (x - other).invert().unwrap()
                    });
                    scalar(share) * weight
                })
                .sum();
            assert_eq!(value, scalar(share), "point {point}");
        }
    }

    /// Opens what was sealed, with the shares at `points`.
    fn open(&self, bundle: &(crate::Sealed, G1Bytes), points: &[u16]) -> Option<Vec<Leg>> {
        let (sealed, u) = bundle;
        let sealed_as = Encapsulation::of(&sealed.header, &sealed.capsule).unwrap();
        let block =
            SealedBlock::new(self.key(), Height::new(9), BlockId::new([3; 32]), &[sealed_as])
                .unwrap();
        let sent: Vec<(u16, Vec<G1Bytes>)> =
            points.iter().map(|point| (*point, block.share(self.share(*point), *point))).collect();
        let list: Vec<(u16, &[G1Bytes])> =
            sent.iter().map(|(point, shares)| (*point, shares.as_slice())).collect();
        let openings = block.combine(&list, 0..block.share_count()).ok()?;
        if !block.check(&openings, &SEED) {
            return None;
        }
        open_bundle(&sealed.header.label(), u, &openings[1], sealed.header.suite, &sealed.body).ok()
    }

    /// A sealed bundle under this key.
    fn seal(&self) -> (crate::Sealed, G1Bytes) {
        let legs = [leg(7, b"sealed under a key that nobody holds")];
        let sealed = seal(self.key().sealing_key(), header(0), &legs, rng(5)).unwrap();
        let u = capsule(&sealed).unwrap().u();
        (sealed, u)
    }

    fn assert_opens(&self, bundle: &(crate::Sealed, G1Bytes)) {
        let quorum = usize::from(self.key().packing().quorum());
        let points: Vec<u16> = self.shares.iter().map(|(point, _)| *point).collect();
        for points in [&points[..quorum], &points[points.len() - quorum..]] {
            let legs = vec![leg(7, b"sealed under a key that nobody holds")];
            assert_eq!(self.open(bundle, points), Some(legs));
        }
    }
}

/// A dealing by a dealer who knows its secrets and changes it before proving them.
fn rogue(dkg: &Dkg, dealer: u16, change: impl FnOnce(&mut Dealing)) -> Dealing {
    let mut rng = rng(0x66);
    let secrets = [(); 2].map(|()| Scalar::random(&mut rng));
    rogue_with(dkg, dealer, secrets, change)
}

fn rogue_with(
    dkg: &Dkg,
    dealer: u16,
    [constant, ephemeral]: [Scalar; 2],
    change: impl FnOnce(&mut Dealing),
) -> Dealing {
    let (session, roster) = (&dkg.session, &dkg.roster);
    let polynomial = SharingPolynomial::random(session.packing(), Secret(constant), rng(0x67));
    let mut dealing = dealing::assemble(session, roster, dealer, &polynomial, Secret(ephemeral));
    change(&mut dealing);
    dealing.prove(session, roster, (&Secret(constant), &Secret(ephemeral)));
    dealing
}

/// Adds one to what the recipient at `position` will find.
fn spoil(dealing: &mut Dealing, position: usize) {
    let evaluation = &mut dealing.evaluations[position];
    *evaluation = proof::ScalarBytes::new(&(evaluation.read().unwrap() + Scalar::ONE));
}
