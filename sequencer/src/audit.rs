//! Re-deriving history offline: anyone who has the genesis and an archive finds out whether every
//! block was decided by a quorum, valid, opened rightly, ordered as drawn and derived as stored.

use std::{collections::BTreeSet, sync::Arc};

use conclave_derivation::{Cursors, Sources};
use conclave_encryption::SealedBlock;
use conclave_mempool::{Applied, Ledger, admission};
use conclave_types::{
    Batch, Block, Digest, EncryptedBundle, Genesis, Height, NetworkId, RevealedBlock, RollupId,
    SharingMessage, StrictVerifier, Withdrawal, digest::SigningDomain, mmr::Peaks,
};

use crate::{
    archive::{self, ArchiveError, BundlePlace, StoredBlock, StoredReveal, Tip},
    chain::Parent,
    config::{ConfigError, Founding},
    decide::turn,
    job::{BatchSeed, OpenedBlock, decrypt, encapsulation},
    judge::{InvalidBlock, Rulebook},
    keys::{EpochKey, Keys, KeysError},
    l1::{self, Carried},
    recover::{stored_cursors, stored_ledger},
    reveal::reveal,
    settle,
    store::Store,
};

/// What is wrong at a height.
#[derive(Debug, thiserror::Error)]
pub enum AuditError<E: std::error::Error + 'static> {
    /// The genesis is not valid.
    #[error("the genesis is not valid")]
    Config(#[from] ConfigError),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError<E>),
    /// A block is not there.
    #[error("the block is missing")]
    Missing,
    /// The certificate is of another block, or does not verify.
    #[error("the certificate does not certify this block")]
    Certificate(#[source] Option<conclave_types::CertificateError>),
    /// The certificate of the commitment is no quorum's.
    #[error("the certificate of the commitment does not hold")]
    Settlement(#[source] conclave_types::SettlementError),
    /// The block breaks a rule.
    #[error("the block is not valid")]
    Invalid(#[from] InvalidBlock),
    /// Signatures or proofs of bundles do not hold.
    #[error("bundle {0} has a signature or proof that does not hold")]
    Bundle(conclave_types::BundleId),
    /// The openings do not pass the pairing check.
    #[error("the openings do not open this block")]
    Openings,
    /// The messages that make or hand on the key do not hold.
    #[error("the block's sharing messages do not hold")]
    Keys(#[from] KeysError),
    /// What was stored is not what follows.
    #[error("the stored {0} is not what follows from the block and its openings")]
    Derived(&'static str),
    /// What a node would start from is not where the blocks lead.
    #[error("{0} is not what the blocks lead to")]
    State(&'static str),
}

/// What an audit of one height found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedHeight {
    /// The height.
    pub height: Height,
    /// Its bundles.
    pub bundle_count: usize,
    /// Whether it was revealed; the newest heights may not be.
    pub revealed: bool,
    /// The chain digest after it, if it was revealed.
    pub digest: Digest,
}

/// An auditor, replaying from the first block.
pub struct Auditor {
    genesis: Arc<Genesis>,
    network: NetworkId,
    domain: SigningDomain,
    keys: Keys,
    rules: admission::Rules,
    rollups: BTreeSet<RollupId>,
    parent: Parent,
    ledger: Ledger,
    cursors: Cursors,
    digests: std::collections::BTreeMap<Height, Digest>,
    /// Over the commitments of all revealed heights.
    history: Peaks,
    /// The newest height that was revealed.
    revealed: Height,
    /// Heights below this are replayed for their effects, without the costly checks.
    check_from: Height,
    /// Of the batch checks: who wrote the archive could choose what cancels if it were known.
    seed: BatchSeed,
}

impl Auditor {
    /// An auditor who checks everything from `check_from` on. What comes before is replayed for its
    /// effects on ledger, cursors and digests. `seed` is to be drawn at random.
    ///
    /// # Errors
    ///
    /// If the genesis is not valid.
    pub fn new(
        genesis: Arc<Genesis>,
        check_from: Height,
        seed: BatchSeed,
    ) -> Result<Self, ConfigError> {
        let Founding { network, keys, .. } = Founding::new(Arc::clone(&genesis))?;
        Ok(Self {
            keys,
            domain: SigningDomain::of(&genesis),
            rules: admission::Rules::new(&genesis),
            rollups: genesis.rollups.iter().map(|rollup| rollup.id).collect(),
            parent: Parent::genesis(&genesis),
            ledger: Ledger::new(&genesis),
            cursors: Cursors::default(),
            digests: [(Height::ZERO, Digest::ZERO)].into(),
            history: Peaks::default(),
            revealed: Height::ZERO,
            network,
            genesis,
            check_from,
            seed,
        })
    }

    /// The height that comes next.
    #[must_use]
    pub const fn next(&self) -> Height {
        self.parent.height.next()
    }

    /// Replays the next height from `store`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn advance<S: Store>(&mut self, store: &S) -> Result<AuditedHeight, AuditError<S::Error>> {
        let height = self.next();
        let stored = archive::block(store, height)?.ok_or(AuditError::Missing)?;
        let bundles = archive::block_bundles(store, &stored.block)?;
        let checked = height >= self.check_from;
        if checked {
            self.check_block(&stored, &bundles)?;
            check_places(store, &stored)?;
        }
        let headers: Vec<_> = bundles.iter().map(|bundle| &bundle.header).collect();
        let charges = self
            .ledger
            .check_block(&headers, &self.genesis.params)
            .map_err(|error| AuditError::Invalid(error.into()))?;
        let entries = &stored.block.body.l1_entries;
        let cursor = l1::cursor_after(self.parent.forced_cursor, entries);
        let turn = turn(&self.keys, &stored.block, &charges);
        let applied =
            self.ledger.apply(&turn).map_err(|error| AuditError::Invalid(error.into()))?;
        check_applied(store, height, &applied)?;
        let carried = Carried::new(cursor, entries, &self.rollups, applied.withdrawals);
        let reveal = archive::reveal(store, height)?;
        let revealed = reveal.is_some();
        if let Some(reveal) = reveal {
            self.check_reveal(store, (&stored.block, &bundles, &carried), reveal, checked)?;
        }
        self.keys.replay(&stored.block)?;
        self.parent = Parent::block(&stored.block.header, cursor);
        let digest = self.digests.get(&height).copied().unwrap_or_default();
        Ok(AuditedHeight { height, bundle_count: bundles.len(), revealed, digest })
    }

    /// Whether what a node reads first when it starts — the tip, the accounts, where each rollup's batches
    /// go on — is what the replayed heights lead to. To be asked after the newest of them.
    ///
    /// # Errors
    ///
    /// What is not, or cannot be read.
    pub fn check_state<S: Store>(&self, store: &S, tip: &Tip) -> Result<(), AuditError<S::Error>> {
        let expected = Tip {
            decided: self.parent.height,
            revealed: self.revealed,
            reveal_digest: self.digests.get(&self.revealed).copied().unwrap_or_default(),
            ledger_digest: self.ledger.digest(),
            till: self.ledger.till().clone(),
            forced_cursor: self.parent.forced_cursor,
        };
        if *tip != expected {
            return Err(AuditError::State("the tip"));
        }
        if stored_ledger(&self.genesis, store, tip.till.clone(), tip.ledger_digest)? != self.ledger
        {
            return Err(AuditError::State("an account"));
        }
        if stored_cursors(&self.genesis, store)? != self.cursors {
            return Err(AuditError::State("a rollup's cursor"));
        }
        Ok(())
    }

    fn check_block<E: std::error::Error>(
        &self,
        stored: &StoredBlock,
        bundles: &[Arc<EncryptedBundle>],
    ) -> Result<(), AuditError<E>> {
        let StoredBlock { block, certificate } = stored;
        let statement = certificate
            .verify(self.keys.committee_at(block.header.height), &self.domain)
            .map_err(|error| AuditError::Certificate(Some(error)))?;
        if statement.block != block.id() || statement.height != block.header.height {
            return Err(AuditError::Certificate(None));
        }
        let rulebook = Rulebook {
            network: self.network,
            domain: &self.domain,
            keys: &self.keys,
            verifier: &StrictVerifier,
            params: &self.genesis.params,
            bundles: &self.rules,
        };
        rulebook.check_structure(block, &self.parent)?;
        let digest = self.digests.get(&block.header.revealed_height).copied().unwrap_or_default();
        rulebook.check_digests(block, &digest, &self.ledger.digest())?;
        rulebook.check_bundles(block, bundles.iter().map(Arc::as_ref), &self.ledger)?;
        self.check_sharing_signatures(block)?;
        let Some(key) = self.keys.at(block.header.height) else { return Ok(()) };
        let verdicts = admission::verify(bundles, &key.sealing, self.seed.as_bytes());
        let bad = block.body.bundles.iter().zip(verdicts).find(|(_, verdict)| verdict.is_err());
        bad.map_or(Ok(()), |(id, _)| Err(AuditError::Bundle(*id)))
    }

    fn check_sharing_signatures<E: std::error::Error>(
        &self,
        block: &Block,
    ) -> Result<(), AuditError<E>> {
        let is_signed =
            |message: &&SharingMessage| self.keys.is_signed(message, &self.domain, &StrictVerifier);
        let forged = block.body.sharing.iter().find(|message| !is_signed(message));
        forged.map_or(Ok(()), |message| Err(InvalidBlock::Sharing(message.from).into()))
    }

    fn check_reveal<S: Store>(
        &mut self,
        store: &S,
        (decided, bundles, carried): (&Block, &[Arc<EncryptedBundle>], &Carried),
        reveal_record: StoredReveal,
        checked: bool,
    ) -> Result<(), AuditError<S::Error>> {
        let header = &decided.header;
        let height = header.height;
        let id = decided.id();
        let StoredReveal { openings, digest, .. } = reveal_record;
        let key = self.keys.at(height);
        let expected = key.map_or(0, |_| bundles.len().saturating_add(1));
        if openings.len() != expected {
            return Err(AuditError::Openings);
        }
        if let Some(EpochKey { key, .. }) = key.filter(|_| checked) {
            let encapsulations: Vec<_> =
                bundles.iter().map(|bundle| encapsulation(bundle)).collect();
            // Whatever keeps a decided block from being prepared is a point that is none: it has no openings.
            let sealed = SealedBlock::new(key, height, id, &encapsulations).ok();
            if !sealed.is_some_and(|sealed| sealed.check(&openings, self.seed.as_bytes())) {
                return Err(AuditError::Openings);
            }
        }
        let sealed = bundles.iter().zip(openings.iter().skip(1));
        let outcomes =
            sealed.map(|(bundle, opening)| decrypt(bundle, opening, &self.rollups)).collect();
        let opened = OpenedBlock::new(openings, outcomes);
        let (block, hashes) = reveal((header, id), carried, &decided.body.bundles, bundles, opened);
        let batches = self.cursors.batches(&block);
        let before = height.previous().and_then(|before| self.digests.get(&before));
        let expected = block.digest_of(&before.copied().unwrap_or_default(), &hashes);
        if digest != expected {
            return Err(AuditError::Derived("chain digest"));
        }
        if archive::revealed(store, height)?.as_ref() != Some(&block) {
            return Err(AuditError::Derived("revealed block"));
        }
        check_batches(store, &batches)?;
        let sources = Sources::with(&block, hashes);
        self.check_commitment(store, (&sources, &block), &batches, &carried.withdrawals)?;
        self.revealed = height;
        self.digests.insert(height, digest);
        self.digests = self.digests.split_off(&header.revealed_height);
        Ok(())
    }
}

impl Auditor {
    /// The commitment that follows is the stored one, a stored certificate is a quorum's, and the history on which
    /// both stand is kept.
    fn check_commitment<S: Store>(
        &mut self,
        store: &S,
        (sources, block): (&Sources, &RevealedBlock),
        batches: &[Batch],
        withdrawals: &[Withdrawal],
    ) -> Result<(), AuditError<S::Error>> {
        let height = block.height;
        let end = settle::epoch_end(&self.keys, height);
        let history = self.history.root();
        let commitment = settle::commitment((sources, block), batches, withdrawals, history, end);
        let stored = archive::commitment(store, height)?;
        let found = commitment.filter(|commitment| stored.as_ref() == Some(commitment));
        let commitment = found.ok_or(AuditError::Derived("commitment"))?;
        for (subtree, root) in self.history.append(&self.domain.commitment(&commitment)) {
            if archive::history(store, subtree)? != Some(root) {
                return Err(AuditError::Derived("history of commitments"));
            }
        }
        let end = commitment.epoch_end.is_some().then_some(height);
        if end.is_some() && archive::epoch_end(store, commitment.epoch)? != end {
            return Err(AuditError::Derived("end of an epoch"));
        }
        let committee = self.keys.committee_at(height);
        if archive::committee(store, commitment.epoch)?.as_ref() != Some(&**committee) {
            return Err(AuditError::Derived("committee of an epoch"));
        }
        let Some(certificate) = archive::certificate(store, height)? else { return Ok(()) };
        if certificate.commitment != commitment {
            return Err(AuditError::Derived("certified commitment"));
        }
        certificate.verify(committee, &self.domain).map_err(AuditError::Settlement)
    }
}

fn check_places<S: Store>(store: &S, stored: &StoredBlock) -> Result<(), AuditError<S::Error>> {
    let height = stored.block.header.height;
    for (index, id) in (0_u32..).zip(&stored.block.body.bundles) {
        if archive::place(store, id)? != Some(BundlePlace { height, index }) {
            return Err(AuditError::Derived("place of a bundle"));
        }
    }
    Ok(())
}

/// Whoever is paid out, or asked to be, finds what follows.
fn check_applied<S: Store>(
    store: &S,
    height: Height,
    applied: &Applied,
) -> Result<(), AuditError<S::Error>> {
    if archive::withdrawals(store, height)? != applied.withdrawals {
        return Err(AuditError::Derived("withdrawals"));
    }
    for withdrawal in &applied.withdrawals {
        let listed = archive::paid_to(store, withdrawal.payee, withdrawal.index, 1)?;
        if listed.first() != Some(&(height, *withdrawal)) {
            return Err(AuditError::Derived("place of a withdrawal"));
        }
    }
    for (entry, outcome) in &applied.requests {
        if archive::request(store, *entry)? != Some(*outcome) {
            return Err(AuditError::Derived("outcome of a request to withdraw"));
        }
    }
    Ok(())
}

fn check_batches<S: Store>(store: &S, batches: &[Batch]) -> Result<(), AuditError<S::Error>> {
    for batch in batches {
        let stored = archive::batches(store, batch.rollup, batch.sequence, 1)?;
        if stored.first() != Some(batch) {
            return Err(AuditError::Derived("batch"));
        }
    }
    Ok(())
}
