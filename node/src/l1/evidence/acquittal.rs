//! What acquits of a premature share: the precommits that decided the block that was shared. Then there was a fork, and
//! who shared the block of its side did what it had to.
//!
//! A certificate of many takes several transactions. L1 says which precommits it has seen, so each is made of what is
//! left: it does not matter who has sent the ones before, nor whether this program was running then.

use alloy::primitives::B256;
use conclave_contracts::{
    ConclaveSlasher::{self, supportOfCall},
    bindings::slasher::IConclaveSlasher::{SignedPrecommit, Tally},
    report::signature,
};
use conclave_sequencer::{
    Store,
    archive::{self, Read},
};
use conclave_types::{BlockId, Certificate, Committee, Epoch, Height};

use super::court::Record;
use crate::l1::{Call, Contracts, L1Error, Sender, Sent};

/// Precommits in one transaction: each takes some 250,000 gas, and a transaction may take 16.7 million (EIP-7825).
const PRECOMMITS_MAX: usize = 32;

/// The certificate of a block, as L1 takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquittal {
    round: u32,
    quorum: u64,
    /// With the power of each, the largest first.
    precommits: Vec<(u64, SignedPrecommit)>,
}

impl Acquittal {
    /// What a node holds for somebody whom `record` convicts of a premature share of `shared`; none if it is of something
    /// else, or the node has decided another block at that height, or none.
    ///
    /// # Errors
    ///
    /// If the store fails or is damaged.
    pub fn of<S: Store>(store: &S, record: &Record, shared: BlockId) -> Read<Option<Self>, S> {
        if !record.is_premature_share() {
            return Ok(None);
        }
        let block = archive::block(store, Height::new(record.height))?;
        let committee = archive::committee(store, Epoch::new(record.epoch))?;
        let found = block.zip(committee).filter(|(block, _)| {
            let certificate = &block.certificate;
            (certificate.block, certificate.epoch.as_u64()) == (shared, record.epoch)
        });
        Ok(found.map(|(block, committee)| Self::new(&block.certificate, &committee)))
    }

    /// L1 numbers members as it lists them.
    fn new(certificate: &Certificate, committee: &Committee) -> Self {
        let rows = committee.rows();
        let numbered = certificate.signatures.iter().filter_map(|(signer, signed)| {
            let row = rows.iter().position(|(index, _)| index == signer)?;
            let power = rows.get(row)?.1.power;
            let member = u16::try_from(row).ok()?;
            Some((power, SignedPrecommit { member, signature: signature(signed) }))
        });
        let mut precommits: Vec<_> = numbered.collect();
        precommits.sort_by_key(|(power, precommit)| (std::cmp::Reverse(*power), precommit.member));
        let quorum = committee.quorum_power();
        Self { round: certificate.round.as_u32(), quorum, precommits }
    }

    /// The precommits that are to be shown next, as few as it takes, when L1 has seen these; none if that was all.
    fn next(&self, shown: &Tally) -> Vec<SignedPrecommit> {
        let mut power = shown.power;
        let missing = self
            .precommits
            .iter()
            .filter(|(_, precommit)| !shown.signers.bit(usize::from(precommit.member)));
        let needed = missing.take_while(|(of_one, _)| {
            let is_needed = power < self.quorum;
            power = power.saturating_add(*of_one);
            is_needed
        });
        needed.take(PRECOMMITS_MAX).map(|(_, precommit)| precommit.clone()).collect()
    }

    /// What L1 is asked to say what it has seen of it.
    pub(in crate::l1) const fn question(&self, offence: B256) -> supportOfCall {
        supportOfCall { offence, round: self.round }
    }

    /// The transaction that shows L1 the next of it, when it has seen that; none if it has seen all.
    pub(in crate::l1) fn step(
        &self,
        contracts: &Contracts,
        offence: B256,
        shown: &Tally,
    ) -> Option<Call> {
        let (round, precommits) = (self.round, self.next(shown));
        let call = ConclaveSlasher::supportAcquittalCall { offence, round, precommits };
        let is_all = call.precommits.is_empty();
        (!is_all).then(|| Call::new(contracts.slasher, &call))
    }

    /// How many transactions it takes, if L1 has seen nothing of it.
    pub(in crate::l1) fn steps(&self) -> usize {
        self.precommits.len().div_ceil(PRECOMMITS_MAX)
    }

    /// Shows it to L1, over as many transactions as it takes, until that acquits. What L1 has seen before counts.
    ///
    /// # Errors
    ///
    /// If L1 refuses: it is too late (`TooLate`), or it has acquitted before (`NotOpen`).
    pub async fn show(
        &self,
        sender: &Sender,
        contracts: &Contracts,
        record: &Record,
    ) -> Result<Vec<Sent>, L1Error> {
        let mut all = Vec::new();
        loop {
            let question = self.question(record.offence);
            let shown = sender.endpoints().call(contracts.slasher, &question).await?;
            let Some(call) = self.step(contracts, record.offence, &shown) else { break };
            let sent = sender.send(call).await?;
            let is_over = sent.event::<ConclaveSlasher::Acquitted>().is_ok();
            all.push(sent);
            if is_over {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
impl Acquittal {
    /// One that acquits nobody.
    pub(in crate::l1) const fn sample() -> Self {
        Self { round: 0, quorum: 1, precommits: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use conclave_types::{
        ConsensusKey, Member, Round, SettlementSecret, SignatureBytes, ValidatorIndex,
    };
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn precommits_are_numbered_as_l1_lists_the_members_and_shown_as_few_as_it_takes() {
        // By index 0, 3, 4, 7; L1 lists them by their numbers: 7, 0, 4, 3.
        let seats = [(0_u16, 5_u32, 1), (3, 9, 3), (4, 6, 2), (7, 2, 1)];
        let seats = seats.map(|(index, validator, power)| {
            let seed = [u8::try_from(index).unwrap() + 1; 32];
            let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
            let member = Member {
                name: String::new(),
                consensus_key: ConsensusKey::new(key),
                network_key: ConsensusKey::new([seed[0] + 100; 32]),
                settlement_key: SettlementSecret::from_seed(&seed).key(),
                validator,
                power,
            };
            (ValidatorIndex::new(index), member)
        });
        let committee = Committee::seated(seats).unwrap();
        let signed = |index: u16| {
            let byte = u8::try_from(index).unwrap();
            (ValidatorIndex::new(index), SignatureBytes::new([byte; 64]))
        };
        let certificate = Certificate {
            epoch: Epoch::new(2),
            height: Height::new(9),
            round: Round::new(3),
            block: BlockId::new([1; 32]),
            signatures: [0, 3, 7].map(signed).to_vec(),
        };
        let acquittal = Acquittal::new(&certificate, &committee);
        let next = |signers: u64, power| {
            let shown = Tally { signers: U256::from(signers), power };
            let next = acquittal.next(&shown);
            next.iter().map(|one| (one.member, one.signature.s[0])).collect::<Vec<_>>()
        };
        assert_eq!((acquittal.round, acquittal.quorum), (3, 5));
        assert_eq!(next(0, 0), [(3, 3), (0, 7), (1, 0)], "the largest first");
        // Somebody has shown row 2, whose precommit is not in this certificate.
        assert_eq!(next(0b100, 2), [(3, 3)]);
        assert_eq!(next(0b1000, 3), [(0, 7), (1, 0)]);
        assert_eq!(next(0b1001, 4), [(1, 0)]);
        assert_eq!(next(0b1100, 5), []);
    }
}
