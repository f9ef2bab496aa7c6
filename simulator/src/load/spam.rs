//! What a hostile user hands in: ciphertexts of others under its own name, other prices, junk, bundles
//! that nobody pays for, oversized ones, two for one nonce, legs that spoil their siblings, seeds that
//! are not what their capsules hide.

use conclave_encryption::{SealingKey, Suite, seal_wrongly};
use conclave_types::{
    BundleHeader, BundleNonce, EncryptedBundle, Genesis, Gwei, Height, KeyId, Leg, RollupId,
};
use secp256k1::SecretKey;

use super::{Handed, Load, Standing, header, sealed, signed, unsigned};

/// A rollup that is not registered.
const NOWHERE: RollupId = RollupId::new(404);
/// By how much an oversized bundle is longer than it should be.
const OVERSIZE: usize = 200_000;

impl Load {
    /// One or two hostile bundles. None before there is anything to steal from.
    pub(crate) fn spam(&mut self, genesis: &Genesis, key: &SealingKey, now: Height) -> Vec<Handed> {
        let kind = self.random.below(15);
        let victim = self.victim();
        let forged = |bundle| vec![Handed::new(bundle, Standing::Forged)];
        let made = match (kind, victim) {
            (0, Some(victim)) => self.stolen(victim).map(forged),
            (1, Some(victim)) => Some(forged(repriced(victim))),
            (2, Some(victim)) => Some(forged(mauled(victim))),
            (3, Some(victim)) => Some(forged(self.with_junk_capsule(victim))),
            // Not forged: it counts only once, as the first time.
            (4, Some(victim)) => {
                Some(vec![Handed { id: victim.id(), bundle: victim, standing: Standing::Dud }])
            }
            (5, _) => self.unpaid(genesis, key, now).map(forged),
            (6, _) => self.for_another_key(genesis, key, now).map(forged),
            (7, _) => self.own(genesis, key, now, |header| header.valid_until = Height::ZERO),
            (8, _) => self.own(genesis, key, now, |header| header.max_fee = Gwei::new(1)),
            (9, _) => self.rivals(genesis, key, now),
            (10, _) => self.oversized(genesis, key, now).map(forged),
            (11, _) => self.framed(genesis, key, now).map(forged),
            (12, _) if key.suite() == Suite::Packed => self
                .sealed_wrongly(genesis, key, now)
                .map(|bundle| vec![Handed::new(bundle, Standing::Unopenable)]),
            _ => self.dud(genesis, key, now).map(|bundle| vec![Handed::new(bundle, Standing::Dud)]),
        };
        made.unwrap_or_default()
    }

    /// The key of a hostile user, and the header of the bundle that is next in its lane 0.
    fn next_of(
        &mut self,
        who: usize,
        genesis: &Genesis,
        now: Height,
    ) -> Option<(SecretKey, BundleHeader)> {
        let payer = self.hostile.get_mut(who)?;
        let nonce = payer.nonce(0)?;
        Some((payer.secret, header(genesis, payer.address, nonce, now)))
    }

    fn victim(&mut self) -> Option<EncryptedBundle> {
        let count = u64::try_from(self.seen.len()).ok()?;
        let pick = usize::try_from(self.random.below(count)).ok()?;
        self.seen.get(pick).cloned()
    }

    /// The ciphertext of another, paid for and signed by the thief: the proof is bound to the payer.
    fn stolen(&mut self, mut bundle: EncryptedBundle) -> Option<EncryptedBundle> {
        let thief = self.hostile.first()?;
        bundle.header.payer = thief.address;
        bundle.header.nonce = BundleNonce { lane: 7, sequence: 0 };
        Some(signed(&self.curve, &thief.secret, bundle))
    }

    fn with_junk_capsule(&mut self, mut bundle: EncryptedBundle) -> EncryptedBundle {
        let junk: Vec<u8> = (0..8).flat_map(|_| self.random.bytes()).collect();
        for (to, from) in bundle.capsule.iter_mut().zip(junk.into_iter().cycle()) {
            *to = from;
        }
        bundle
    }

    /// Well made, by a payer who has nothing.
    fn unpaid(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<EncryptedBundle> {
        let legs = self.legs();
        let (pauper, header) = self.next_of(1, genesis, now)?;
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        Some(signed(&self.curve, &pauper, bundle))
    }

    /// Well sealed and signed, under a header that asks for what it cannot have.
    fn own(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
        change: impl Fn(&mut BundleHeader),
    ) -> Option<Vec<Handed>> {
        let legs = self.legs();
        let payer = self.hostile.first()?;
        let nonce = BundleNonce { lane: 8, sequence: 0 };
        let mut header = header(genesis, payer.address, nonce, now);
        change(&mut header);
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        let bundle = signed(&self.curve, &payer.secret, bundle);
        Some(vec![Handed::new(bundle, Standing::Forged)])
    }

    /// Well sealed, and signed as if it were sealed to another key.
    fn for_another_key(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<EncryptedBundle> {
        let legs = self.legs();
        let payer = self.hostile.first()?;
        let header = header(genesis, payer.address, BundleNonce { lane: 8, sequence: 0 }, now);
        let mut bundle = sealed(key, header, &legs, &mut self.random)?;
        bundle.header.key_id = KeyId::new([9; 32]);
        Some(signed(&self.curve, &payer.secret, bundle))
    }

    /// Well sealed, in the name of another, who has not signed it.
    fn framed(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<EncryptedBundle> {
        let legs = self.legs();
        let nonce = BundleNonce { lane: 7, sequence: 0 };
        let header = header(genesis, self.payers.first()?.address, nonce, now);
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        Some(signed(&self.curve, &self.hostile.first()?.secret, bundle))
    }

    /// Two bundles for one nonce; the second pays enough more to replace the first in a pool, even when
    /// the first is in a block already.
    fn rivals(&mut self, genesis: &Genesis, key: &SealingKey, now: Height) -> Option<Vec<Handed>> {
        let nonce = self.hostile.first_mut()?.nonce(1)?;
        let mut rivals = Vec::new();
        for priority_fee in [Gwei::ZERO, Gwei::new(100_000)] {
            let legs = self.legs();
            let payer = self.hostile.first()?;
            let header = header(genesis, payer.address, nonce, now);
            let header = BundleHeader { priority_fee, ..header };
            let bundle = sealed(key, header, &legs, &mut self.random)?;
            let bundle = signed(&self.curve, &payer.secret, bundle);
            rivals.push(Handed::new(bundle, Standing::Rival(legs)));
        }
        Some(rivals)
    }

    /// Well sealed and paid for, with a leg that takes its good siblings with it: to nowhere, or a second
    /// one to the same rollup.
    fn dud(&mut self, genesis: &Genesis, key: &SealingKey, now: Height) -> Option<EncryptedBundle> {
        let (mut legs, again) = (self.legs(), self.random.chance(500));
        let rollup = if again { legs.first()?.rollup } else { NOWHERE };
        legs.push(Leg { rollup, transaction: b"not to be".to_vec() });
        let (payer, header) = self.next_of(0, genesis, now)?;
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        Some(signed(&self.curve, &payer, bundle))
    }

    /// Paid for and with a proof that holds, and nothing that anyone could open: only who has opened its point knows.
    fn sealed_wrongly(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<EncryptedBundle> {
        let legs = self.legs();
        let (payer, header) = self.next_of(0, genesis, now)?;
        let made = seal_wrongly(key, header, &legs, self.random.rng()).ok()?;
        Some(signed(&self.curve, &payer, unsigned(made)))
    }

    /// Longer than any padding makes it, and signed like that.
    fn oversized(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<EncryptedBundle> {
        let legs = self.legs();
        let payer = self.hostile.first()?;
        let header = header(genesis, payer.address, BundleNonce { lane: 9, sequence: 0 }, now);
        let mut bundle = sealed(key, header, &legs, &mut self.random)?;
        bundle.body.extend_from_slice(&[0; OVERSIZE]);
        bundle.header.body_bytes = u32::try_from(bundle.body.len()).ok()?;
        bundle.header.max_fee = Gwei::new(u64::MAX);
        Some(signed(&self.curve, &payer.secret, bundle))
    }
}

/// Another price under the old signature.
fn repriced(mut bundle: EncryptedBundle) -> EncryptedBundle {
    bundle.header.priority_fee = Gwei::new(500);
    bundle
}

fn mauled(mut bundle: EncryptedBundle) -> EncryptedBundle {
    if let Some(byte) = bundle.body.first_mut() {
        *byte ^= 1;
    }
    bundle
}
