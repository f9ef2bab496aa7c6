//! What acquits of a premature share: the precommits that decided the block that was shared. Then there was a fork, and
//! who shared the block of its side did what it had to.

use conclave_contracts::{ConclaveSlasher, bindings::slasher::IConclaveSlasher::SignedPrecommit};
use conclave_sequencer::{
    Store,
    archive::{self, Read},
};
use conclave_types::{Certificate, Committee, Epoch, Height};

use super::{court::Record, report::signature};
use crate::l1::{Call, Contracts, L1Error, Sender, Sent};

/// Precommits in one transaction: each takes some 250,000 gas, and a transaction may take 16.7 million (EIP-7825).
const PRECOMMITS_MAX: usize = 32;

/// The certificate of a block, as L1 takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquittal {
    round: u32,
    precommits: Vec<SignedPrecommit>,
}

impl Acquittal {
    /// What a node holds for somebody whom `record` convicts of a premature share; none if it is of something else, or
    /// the node has not decided that height.
    ///
    /// # Errors
    ///
    /// If the store fails or is damaged.
    pub fn of<S: Store>(store: &S, record: &Record) -> Read<Option<Self>, S> {
        if !record.is_premature_share() {
            return Ok(None);
        }
        let block = archive::block(store, Height::new(record.height))?;
        let committee = archive::committee(store, Epoch::new(record.epoch))?;
        let found = block.zip(committee);
        Ok(found.map(|(block, committee)| Self::new(&block.certificate, &committee)))
    }

    /// L1 numbers members as it lists them.
    fn new(certificate: &Certificate, committee: &Committee) -> Self {
        let rows = committee.rows();
        let numbered = certificate.signatures.iter().filter_map(|(signer, signed)| {
            let row = rows.iter().position(|(index, _)| index == signer)?;
            Some(SignedPrecommit { member: u16::try_from(row).ok()?, signature: signature(signed) })
        });
        let mut precommits: Vec<_> = numbered.collect();
        precommits.sort_by_key(|precommit| precommit.member);
        Self { round: certificate.round.as_u32(), precommits }
    }

    /// Shows it to L1, over as many transactions as it takes, until that acquits. What L1 has seen before counts once.
    ///
    /// # Errors
    ///
    /// If L1 refuses: the block is not the one that was shared (`BadSignature`), or it is too late.
    pub async fn show(
        &self,
        sender: &Sender,
        contracts: &Contracts,
        record: &Record,
    ) -> Result<Vec<Sent>, L1Error> {
        let (offence, round) = (record.offence, self.round);
        let mut all = Vec::new();
        for precommits in self.precommits.chunks(PRECOMMITS_MAX) {
            let precommits = precommits.to_vec();
            let call = ConclaveSlasher::supportAcquittalCall { offence, round, precommits };
            let sent = sender.send(Call::new(contracts.slasher, &call)).await?;
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
mod tests {
    use conclave_types::{
        BlockId, ConsensusKey, Member, Round, SettlementSecret, SignatureBytes, ValidatorIndex,
    };
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn precommits_are_numbered_as_l1_lists_the_members() {
        // By index 0, 3, 4, 7; L1 lists them by their numbers: 7, 0, 4, 3.
        let seats = [(0_u16, 5_u32), (3, 9), (4, 6), (7, 2)].map(|(index, validator)| {
            let seed = [u8::try_from(index).unwrap() + 1; 32];
            let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
            let member = Member {
                name: String::new(),
                consensus_key: ConsensusKey::new(key),
                network_key: ConsensusKey::new([seed[0] + 100; 32]),
                settlement_key: SettlementSecret::from_seed(&seed).key(),
                validator,
                power: 1,
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
        let numbered = |precommit: &SignedPrecommit| (precommit.member, precommit.signature.s[0]);
        assert_eq!(acquittal.round, 3);
        let found: Vec<_> = acquittal.precommits.iter().map(numbered).collect();
        assert_eq!(found, [(0, 7), (1, 0), (3, 3)]);
    }
}
