//! Any mixture of behaviours, and what must hold in all of them.

use proptest::prelude::*;

use super::*;

/// What a validator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Honest,
    /// Registers, and is never heard of again.
    Silent,
    /// Does not even register.
    Absent,
    /// Cheats the recipients of this mask.
    Cheats(u8),
    /// Complains about everyone.
    Slanders,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        5 => Just(Behaviour::Honest),
        1 => Just(Behaviour::Silent),
        1 => Just(Behaviour::Absent),
        2 => any::<u8>().prop_map(Behaviour::Cheats),
        1 => Just(Behaviour::Slanders),
    ]
}

struct Scene {
    dkg: Dkg,
    keys: Vec<HolderKey>,
    behaviours: Vec<Behaviour>,
}

impl Scene {
    /// Each deals as it behaves; the constant is the old share, for a resharing.
    fn play(&mut self, dealers: &[(u16, Behaviour)], constant: impl Fn(u16) -> Option<Scalar>) {
        for (dealer, behaviour) in dealers {
            let mask = match behaviour {
                Behaviour::Silent | Behaviour::Absent => continue,
                Behaviour::Cheats(mask) => *mask,
                Behaviour::Honest | Behaviour::Slanders => 0,
            };
            let mut rng = rng(dealer.to_be_bytes()[1] ^ 0x40);
            let fresh = Scalar::random(&mut rng);
            let secrets = [constant(*dealer).unwrap_or(fresh), Scalar::random(&mut rng)];
            let dealing = rogue_with(&self.dkg, *dealer, secrets, |dealing| {
                let count = dealing.evaluations.len();
                (0..count.min(8))
                    .filter(|bit| mask >> bit & 1 == 1)
                    .for_each(|position| spoil(dealing, position));
            });
            post(&mut self.dkg, dealing).unwrap();
        }
    }

    /// The honest complain where they must, slanderers everywhere. Nobody honest comes to harm.
    fn complain(&mut self, dealers: &[(u16, Behaviour)]) -> Result<(), TestCaseError> {
        for (index, behaviour) in (0_u16..).zip(self.behaviours.clone()) {
            let key = &self.keys[usize::from(index)];
            let complaints = match behaviour {
                Behaviour::Honest | Behaviour::Cheats(_) => self.dkg.complaints(key),
                Behaviour::Slanders => {
                    let all = self.dkg.dealings.values();
                    let point = self.dkg.session.holders().points(v(index)).start;
                    all.map(|d| Complaint::new(&self.dkg.session, key, d, point)).collect()
                }
                Behaviour::Silent | Behaviour::Absent => continue,
            };
            for complaint in complaints {
                let dealer = complaint.dealer();
                match self.dkg.apply(v(index), &Message::Complain(complaint)) {
                    Ok(Event::Disqualified { .. }) => {
                        let of = dealers.iter().find(|(each, _)| *each == dealer).unwrap().1;
                        prop_assert!(matches!(of, Behaviour::Cheats(_)));
                    }
                    Ok(Event::FalseComplaint { .. }) => {
                        prop_assert_eq!(behaviour, Behaviour::Slanders);
                    }
                    Err(Refusal::AlreadyProved { .. }) => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_honest_get_a_key_or_learn_that_there_is_none(
        behaviours in prop::collection::vec(behaviour(), 4..8),
        heirs in prop::collection::vec(behaviour(), 4..8),
        extra in any::<prop::sample::Index>(),
    ) {
        let mut tickets = vec![1; behaviours.len()];
        tickets[extra.index(behaviours.len())] = 2;
        let session = session(&tickets);
        let present = |each: &Behaviour| *each != Behaviour::Absent;
        let points: usize = behaviours
            .iter()
            .zip(&tickets)
            .filter(|(each, _)| present(each))
            .map(|(_, tickets)| usize::from(*tickets))
            .sum();
        prop_assume!(points >= usize::from(session.packing().quorum()));
        let (dkg, keys) = registered(&session, |index| present(&behaviours[usize::from(index)]));
        let dealers: Vec<(u16, Behaviour)> = (0..).zip(behaviours.iter().copied()).collect();
        let mut scene = Scene { dkg, keys, behaviours: behaviours.clone() };
        scene.play(&dealers, |_| None);
        scene.complain(&dealers)?;
        scene.dkg.close_dealing().unwrap();
        let standing = scene.dkg.standing();
        let Ok(_) = scene.dkg.finish() else {
            prop_assert!(standing < session.required());
            return Ok(());
        };
        // Those who kept silent may have been cheated, those who slandered have wasted the complaint that
        // was theirs to make; all others have their shares.
        let owed = |each: &Behaviour| matches!(each, Behaviour::Honest | Behaviour::Cheats(_));
        let mut shares = Vec::new();
        for (validator, range) in session.holders().iter() {
            if owed(&behaviours[validator.as_usize()]) {
                for point in range {
                    let share = scene.dkg.my_share(&scene.keys[validator.as_usize()], point);
                    shares.push((point, share.unwrap()));
                }
            }
        }
        let old = Run { dkg: scene.dkg, keys: scene.keys, shares };
        prop_assert!(old.shares.iter().all(|(point, share)| share.matches(old.key(), *point)));

        // And it is handed on, by those who have shares, to others of any behaviour.
        let next = reshare(&old, &vec![1; heirs.len()], 2);
        let present_heirs = heirs.iter().filter(|each| present(each)).count();
        prop_assume!(present_heirs >= usize::from(next.packing().quorum()));
        let (dkg, keys) = registered(&next, |index| present(&heirs[usize::from(index)]));
        let dealers: Vec<(u16, Behaviour)> = old
            .shares
            .iter()
            .map(|(point, _)| (*point, behaviours[session.holders().holder(*point).unwrap().as_usize()]))
            .collect();
        let mut scene = Scene { dkg, keys, behaviours: heirs.clone() };
        scene.play(&dealers, |point| Some(scalar(old.share(point))));
        scene.complain(&dealers)?;
        scene.dkg.close_dealing().unwrap();
        let standing = scene.dkg.standing();
        let Ok(outcome) = scene.dkg.finish() else {
            prop_assert!(standing < next.required());
            return Ok(());
        };
        prop_assert_eq!(outcome.key().id(), old.key().id());
        for (index, heir) in (0_u16..).zip(&heirs).filter(|(_, heir)| owed(heir)) {
            let share = scene.dkg.my_share(&scene.keys[usize::from(index)], index).unwrap();
            prop_assert!(share.matches(outcome.key(), index), "{heir:?}");
        }
    }
}
