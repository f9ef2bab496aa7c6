//! Whoever attests two commitments of one height is convicted by each honest validator that was sent both, whatever
//! they are and in whichever order they came; as whoever votes twice is ([`super::accountability`]).
//!
//! Asked for is what a validator can know: both attestations came for a height that it reveals in the run, not too far
//! from where it stood, from a member, and well signed. A signature that is none ends what its author is owed for about
//! that height.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_types::{Digest, G2Bytes, Height, HeightDelta, SettlementKey, Time};

use super::{ACCOUNTABLE, Check, ensure};

/// How far below a validator's newest reveal an attestation must still convict: somewhat less than attestations are
/// held, since it may be overtaken on its way in.
const BEHIND: HeightDelta = HeightDelta::new(50);
/// How far above it.
const AHEAD: HeightDelta = HeightDelta::new(4);
/// By how much a validator must have gone on above a height, to have had time to judge what it heard of it.
const JUDGED: HeightDelta = HeightDelta::new(2);
/// How long it may take from hearing something to evidence of it.
const WITHIN: Duration = Duration::from_secs(1);

/// Who heard whom attest which height.
type Hearing = (u16, u16, Height);

/// What honest validators have heard of liars, and whom they have evidence against.
#[derive(Clone, Debug, Default)]
pub(super) struct Attesters {
    heard: BTreeMap<Hearing, BTreeSet<Digest>>,
    /// Since when.
    owed: BTreeMap<Hearing, Time>,
    given: BTreeSet<Hearing>,
    /// Where a signature was none.
    forged: BTreeSet<Hearing>,
    /// Whether signatures hold; each is checked once, whoever hears it.
    holds: BTreeMap<(SettlementKey, Digest, G2Bytes), bool>,
}

/// What somebody attests for itself.
pub(super) struct Heard {
    pub(super) height: Height,
    /// Of the commitment.
    pub(super) digest: Digest,
    pub(super) signature: G2Bytes,
    /// The key that the committee of the height has of it.
    pub(super) key: SettlementKey,
}

impl Attesters {
    /// An honest validator that has revealed up to `revealed` is sent an attestation by the liar `from`.
    pub(super) fn heard(
        &mut self,
        now: Time,
        (node, from): (u16, u16),
        said: &Heard,
        revealed: Height,
    ) {
        let Heard { height, digest, signature, key } = *said;
        let is_near =
            height.saturating_add(BEHIND) > revealed && height <= revealed.saturating_add(AHEAD);
        let at = (node, from, height);
        if !is_near || self.forged.contains(&at) {
            return;
        }
        let check = || key.parse().is_some_and(|key| key.has_signed(&digest, &signature));
        if !*self.holds.entry((key, digest, signature)).or_insert_with(check) {
            self.forged.insert(at);
            self.owed.remove(&at);
            return;
        }
        let digests = self.heard.entry(at).or_default();
        digests.insert(digest);
        if digests.len() > 1 {
            self.owed.entry(at).or_insert(now);
        }
    }

    /// A validator has evidence against another.
    pub(super) fn convicted(&mut self, node: u16, of: u16, height: Height) {
        self.given.insert((node, of, height));
    }

    /// What was heard does not outlive the process.
    pub(super) fn crashed(&mut self, node: u16) {
        self.heard.retain(|(by, ..), _| *by != node);
        self.owed.retain(|(by, ..), _| *by != node);
        self.forged.retain(|(by, ..)| *by != node);
    }

    /// At the end, when validators have revealed up to there: nobody got away.
    pub(super) fn settle(&self, now: Time, revealed_at: impl Fn(u16) -> Height) -> Check {
        let is_due = |((node, _, height), since): &(&Hearing, &Time)| {
            since.after(WITHIN) <= now && height.saturating_add(JUDGED) <= revealed_at(*node)
        };
        let mut due = self.owed.iter().filter(is_due).map(|(at, _)| at);
        let free = due.find(|at| !self.given.contains(at));
        ensure(free.is_none(), ACCOUNTABLE, || {
            let (node, from, height) = free.copied().unwrap_or_default();
            format!(
                "validator {node} heard {from} attest two commitments of height {height}, and has no \
                 evidence"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::SettlementSecret;

    use super::*;

    const NOW: Time = Time::from_micros(1_000_000);
    const SOON: Time = Time::from_micros(9_000_000);

    fn said(height: u64, seed: u8) -> Heard {
        let secret = SettlementSecret::from_seed(&[1; 32]);
        let digest = Digest::new([seed; 32]);
        let (height, signature) = (Height::new(height), secret.sign(&digest));
        Heard { height, digest, signature, key: secret.key() }
    }

    fn escapes(said: &[Heard], at: u64, then: impl Fn(&mut Attesters)) -> bool {
        let mut attesters = Attesters::default();
        for heard in said {
            attesters.heard(NOW, (0, 3), heard, Height::new(at));
        }
        then(&mut attesters);
        attesters.settle(SOON, |_| Height::new(20)).is_err()
    }

    #[test]
    fn who_is_heard_attesting_two_commitments_of_a_height_does_not_get_away() {
        let forged = |height| Heard { signature: said(height, 9).signature, ..said(height, 2) };
        for (expected, words) in [
            (true, vec![said(9, 1), said(9, 2)]),
            (true, vec![said(9, 2), said(9, 1), said(9, 1)]),
            (false, vec![said(9, 1), said(9, 1)]),
            (false, vec![said(9, 1), said(8, 2)]),
            (false, vec![said(9, 1), forged(9)]),
            (false, vec![forged(9), said(9, 1), said(9, 2)]),
            (false, vec![said(15, 1), said(15, 2)]),
            (false, vec![said(19, 1), said(19, 2)]),
        ] {
            let at = words[0].height;
            assert_eq!(escapes(&words, 10, |_| {}), expected, "{at}, {}", words.len());
        }
        let both = [said(9, 1), said(9, 2)];
        assert!(!escapes(&both, 10, |all| all.convicted(0, 3, Height::new(9))));
        assert!(escapes(&both, 10, |all| all.convicted(0, 3, Height::new(8))));
        assert!(escapes(&both, 10, |all| all.convicted(1, 3, Height::new(9))));
        assert!(!escapes(&both, 10, |all| all.crashed(0)));
        assert!(!escapes(&both, 60, |_| {}), "it is too old to be looked at");
    }
}
