//! What L1 is told: one commitment for each height, that of the revealed block, attested once by whoever is
//! honest, and certified only by a quorum of those who attested it.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::Event;
use conclave_types::{
    Attestation, Batch, BlockCommitment, Digest, EpochEnd, Genesis, Height, ItemSource, Member,
    Outcome, RevealedBlock, SettlementCertificate,
};
use sha3::{Digest as _, Keccak256};

use super::{
    CERTIFIED, CONSISTENT, Check, DETERMINISM, NAMED, Oracle, PAYS, SLASHED,
    chain::Chain,
    committees::{Powers, sum},
    ensure,
};

/// How far behind the newest revealed height the newest certified one may be when a run ends in peace.
const BEHIND_MAX: u64 = 16;

/// What was attested and certified.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    domain: Vec<u8>,
    /// What each validator has told last, and not revealed yet.
    told: BTreeMap<u16, BlockCommitment>,
    /// The commitment that follows from each revealed height.
    expected: Vec<BlockCommitment>,
    /// Leaves of the history: of each commitment its leaf digest.
    history: Vec<[u8; 32]>,
    attested: BTreeMap<Height, BTreeMap<u16, Digest>>,
    /// What liars have attested.
    claimed: BTreeSet<(Height, u16, Digest)>,
    certified: Height,
}

impl Settlement {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let network = genesis.network_id();
        let domain = [
            network.as_bytes().as_slice(),
            &genesis.l1_chain_id.to_be_bytes(),
            genesis.l1_contract.as_bytes(),
        ];
        Self {
            domain: domain.concat(),
            told: BTreeMap::new(),
            expected: Vec::new(),
            history: Vec::new(),
            attested: BTreeMap::new(),
            claimed: BTreeSet::new(),
            certified: Height::ZERO,
        }
    }

    /// A validator says what it commits to, just before it tells the block.
    pub(super) fn committed(&mut self, node: u16, commitment: &BlockCommitment) {
        self.told.insert(node, commitment.clone());
    }

    /// A validator tells a revealed block; `next` is the next committee, if an epoch ends with it, and `payouts`
    /// are the leaves of what it pays on L1.
    pub(super) fn revealed(
        &mut self,
        node: u16,
        block: &RevealedBlock,
        batches: &[Batch],
        next: Option<Digest>,
        payouts: &[[u8; 32]],
    ) -> Check {
        let told = self.told.remove(&node);
        if self.at(block.height).is_none() {
            let end = told.as_ref().and_then(|told| told.epoch_end);
            let payouts = Digest::new(padded_root(payouts));
            self.expect(block, batches, end.filter(|_| next.is_some()), payouts);
            ensure(
                next.is_none_or(|next| end.is_some_and(|end| end.next_committee == next)),
                NAMED,
                || format!("validator {node} ends an epoch with {}: {end:?}", block.height),
            )?;
        }
        told.map_or(Ok(()), |told| self.is_expected(node, &told))
    }

    fn expect(
        &mut self,
        block: &RevealedBlock,
        batches: &[Batch],
        epoch_end: Option<EpochEnd>,
        withdrawals_root: Digest,
    ) {
        let leaves: Vec<_> =
            (0_u32..).zip(batches).map(|(index, batch)| leaf(block, index, batch)).collect();
        let commitment = BlockCommitment {
            epoch: block.epoch,
            height: block.height,
            block: block.block,
            history_root: Digest::new(range_root(&self.history)),
            reveal_root: Digest::new(padded_root(&leaves)),
            rollup_count: u32::try_from(batches.len()).unwrap_or(u32::MAX),
            l1_origin: block.l1_origin,
            forced_cursor: block.forced_cursor,
            withdrawals_root,
            epoch_end,
        };
        self.history.push(hash(&[&[0], &self.digest(&commitment)]));
        self.expected.push(commitment);
    }

    /// An honest validator attests.
    pub(super) fn attested(&mut self, node: u16, found: &Attestation, chain: &Chain) -> Check {
        let height = found.commitment.height;
        ensure(chain.revealed_at(node) >= height, DETERMINISM, || {
            format!("validator {node} attests height {height}, which it has not revealed")
        })?;
        let digest = Digest::new(self.digest(&found.commitment));
        let validator = found.validator.as_u16();
        let first = *self.attested.entry(height).or_default().entry(validator).or_insert(digest);
        ensure(first == digest, CONSISTENT, || {
            format!("validator {node} attests {first} and {digest} at height {height}")
        })?;
        self.is_expected(node, &found.commitment)
    }

    /// A liar attests something, to whomever.
    pub(super) fn claimed(&mut self, found: &Attestation) {
        let digest = Digest::new(self.digest(&found.commitment));
        self.claimed.insert((found.commitment.height, found.validator.as_u16(), digest));
    }

    /// A validator has a certificate; `powers` are those of the committee of its height.
    pub(super) fn certified(
        &mut self,
        node: u16,
        certificate: &SettlementCertificate,
        powers: &Powers,
    ) -> Check {
        let SettlementCertificate { commitment, signers, .. } = certificate;
        let height = commitment.height;
        self.is_expected(node, commitment)?;
        let signed = self.attested.get(&height);
        let digest = Digest::new(self.digest(commitment));
        let is_signer = |signer: &u16| {
            signed.is_some_and(|signed| signed.contains_key(signer))
                || self.claimed.contains(&(height, *signer, digest))
        };
        let signers: BTreeSet<u16> = signers.iter().map(|signer| signer.as_u16()).collect();
        let stranger = signers.iter().find(|signer| !is_signer(signer));
        ensure(stranger.is_none(), CERTIFIED, || {
            format!("validator {node}: {stranger:?} did not sign the certificate of {height}")
        })?;
        let (power, total) = (sum(powers, signers.iter()), powers.values().sum::<u64>());
        ensure(power.saturating_mul(3) > total.saturating_mul(2), CERTIFIED, || {
            format!("validator {node}: power {power} of {total} certifies {height}")
        })?;
        self.certified = self.certified.max(height);
        Ok(())
    }

    /// The faults are over and the run is, too.
    pub(super) fn settle(&self, revealed: Height) -> Check {
        let behind = revealed.as_u64().saturating_sub(self.certified.as_u64());
        ensure(behind <= BEHIND_MAX, CERTIFIED, || {
            format!(
                "everyone has revealed {revealed}, and the newest certificate is of {}",
                self.certified
            )
        })
    }

    /// The newest height that is certified.
    pub(super) const fn newest(&self) -> Height {
        self.certified
    }

    /// What settles with a height: the commitment, its digest, and the root over all commitments up to it. None if no
    /// honest validator has revealed it.
    pub(super) fn settles(&self, height: Height) -> Option<(&BlockCommitment, [u8; 32], [u8; 32])> {
        let commitment = self.at(height)?;
        let count = usize::try_from(height.as_u64()).ok()?;
        Some((commitment, self.digest(commitment), range_root(self.history.get(..count)?)))
    }

    /// What follows from the revealed blocks up to a height.
    pub(super) fn at(&self, height: Height) -> Option<&BlockCommitment> {
        let index = usize::try_from(height.as_u64().checked_sub(1)?).ok()?;
        self.expected.get(index)
    }

    fn is_expected(&self, node: u16, found: &BlockCommitment) -> Check {
        let expected = self.at(found.height);
        let root = |commitment: &BlockCommitment| commitment.withdrawals_root;
        ensure(expected.is_none_or(|expected| root(expected) == root(found)), PAYS, || {
            let expected = expected.map(root);
            format!(
                "validator {node}, height {}: {}, expected {expected:?}",
                found.height,
                root(found)
            )
        })?;
        ensure(expected == Some(found), DETERMINISM, || {
            format!("validator {node} commits to {found:?}, expected {expected:?}")
        })
    }

    /// What is signed of a commitment.
    pub(super) fn digest_of(&self, commitment: &BlockCommitment) -> Digest {
        Digest::new(self.digest(commitment))
    }

    fn digest(&self, commitment: &BlockCommitment) -> [u8; 32] {
        let (committee, result) = commitment
            .epoch_end
            .map_or((Digest::ZERO, Digest::ZERO), |end| (end.next_committee, end.dkg_result));
        hash(&[
            b"\x02conclave/hdr/v1",
            &self.domain,
            &commitment.epoch.as_u64().to_be_bytes(),
            &commitment.height.as_u64().to_be_bytes(),
            commitment.block.as_bytes(),
            commitment.history_root.as_bytes(),
            commitment.reveal_root.as_bytes(),
            &commitment.rollup_count.to_be_bytes(),
            &commitment.l1_origin.number.to_be_bytes(),
            commitment.l1_origin.hash.as_bytes(),
            &commitment.forced_cursor.to_be_bytes(),
            commitment.withdrawals_root.as_bytes(),
            committee.as_bytes(),
            result.as_bytes(),
        ])
    }
}

impl Oracle {
    /// A validator tells something of settlement.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are none of it")]
    pub(super) fn settles(&mut self, node: u16, event: &Event) -> Check {
        let convicts = |oracle: &Self, validator: u16, of: &dyn std::fmt::Debug| {
            ensure(!oracle.honest.contains(&validator), SLASHED, || {
                format!(
                    "validator {node} has evidence against honest validator {validator}: {of:?}"
                )
            })
        };
        match event {
            Event::Committed(commitment) => {
                self.settlement.committed(node, commitment);
                Ok(())
            }
            Event::Certified(certificate) => {
                self.count("certified");
                let powers = self.committees.at(certificate.commitment.height);
                self.settlement.certified(node, certificate, powers)
            }
            Event::Misattested { validator, .. } => {
                self.count("misattestations");
                convicts(self, validator.as_u16(), event)
            }
            Event::DoubleAttestation(evidence) => {
                self.count("double_attestations");
                let signers = evidence.first.signers.iter();
                let both = signers.filter(|signer| evidence.second.signers.contains(signer));
                let both: Vec<u16> = both.map(|signer| signer.as_u16()).collect();
                let height = evidence.first.commitment.height;
                for signer in &both {
                    self.attesters.convicted(node, *signer, height);
                }
                both.iter().for_each(|signer| self.accuses(*signer));
                let epoch = evidence.first.commitment.epoch;
                self.accountability.double_attestation(node, &both, epoch);
                both.into_iter().try_for_each(|signer| convicts(self, signer, event))
            }
            _ => Ok(()),
        }
    }
}

/// A committee's hash: its members as L1 lists them.
pub(super) fn committee(members: &[Member]) -> Digest {
    let mut rows: Vec<_> = members.iter().collect();
    rows.sort_by_key(|member| member.validator);
    let mut bytes = b"conclave/settlement-committee/v1".to_vec();
    for member in rows {
        bytes.extend(member.consensus_key.as_bytes());
        bytes.extend(member.validator.to_be_bytes());
        bytes.extend(member.power.to_be_bytes());
        bytes.extend(member.settlement_key.as_bytes());
    }
    Digest::new(hash(&[&bytes]))
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Keccak256::digest(parts.concat()).into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash(&[&[1], left, right])
}

/// The tree padded with zeros to a power of two.
fn padded_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaves.to_vec();
    level.resize(leaves.len().next_power_of_two(), [0; 32]);
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                _ => [0; 32],
            })
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

/// The tree of RFC 9162, as it is defined there.
fn range_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => [0; 32],
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().div_ceil(2).next_power_of_two();
            let (left, right) = leaves.split_at(half);
            node(&range_root(left), &range_root(right))
        }
    }
}

fn leaf(block: &RevealedBlock, index: u32, batch: &Batch) -> [u8; 32] {
    let items = batch.items.iter();
    let transactions: Vec<_> =
        items.map(|item| hash(&[&[0], &hash(&[&item.transaction])])).collect();
    let bytes: usize = batch.items.iter().map(|item| item.transaction.len()).sum();
    let places: Vec<_> = batch.items.iter().map(|item| place(block, &item.source)).collect();
    hash(&[
        b"\0conclave/ns/v1",
        &batch.rollup.as_u64().to_be_bytes(),
        &index.to_be_bytes(),
        &u32::try_from(batch.items.len()).unwrap_or(u32::MAX).to_be_bytes(),
        &u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes(),
        &batch.sequence.to_be_bytes(),
        &batch.previous_height.as_u64().to_be_bytes(),
        &padded_root(&transactions),
        &padded_root(&places),
    ])
}

fn place(block: &RevealedBlock, source: &ItemSource) -> [u8; 32] {
    match source {
        ItemSource::Forced(found) => {
            let forced = block.forced.iter().find(|forced| forced.index == found.index);
            let entry = forced.map(|forced| forced.entry_hash).unwrap_or_default();
            hash(&[b"\0conclave/force/v1", entry.as_bytes()])
        }
        ItemSource::Leg(found) => {
            let bundle = block.bundles.iter().find(|bundle| bundle.id == found.bundle);
            let legs = match bundle.map(|bundle| &bundle.outcome) {
                Some(Outcome::Opened(legs)) => legs.as_slice(),
                Some(Outcome::Undecryptable(_)) | None => &[],
            };
            let count = u64::try_from(legs.len()).unwrap_or(u64::MAX).to_be_bytes();
            let mut opened = [b"conclave/opened/v1".as_slice(), &count].concat();
            for leg in legs {
                opened.extend(leg.rollup.as_u64().to_be_bytes());
                opened.extend(hash(&[&leg.transaction]));
            }
            hash(&[
                b"\0conclave/atom/v1",
                found.bundle.as_bytes(),
                &found.leg.to_be_bytes(),
                &found.legs.to_be_bytes(),
                &hash(&[&opened]),
            ])
        }
    }
}
