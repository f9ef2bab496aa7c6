//! A sequencer from what its store holds: after a crash, after a clean stop, or for the first time.

use std::{collections::BTreeMap, sync::Arc};

use conclave_consensus::{Engine, Recovered};
use conclave_derivation::Cursors;
use conclave_mempool::{Ledger, Pool, PoolBounds, Till};
use conclave_types::{Digest, Epoch, Genesis, Height, NetworkId, Time};

use crate::{
    archive::{self, ArchiveError, Read, Tip},
    candidates::Candidates,
    catchup::CatchUp,
    chain::{Chain, Parent},
    config::{Config, ConfigError, Context, Shared},
    input::Ready,
    intake::Intake,
    job::JobNumber,
    keys::{Gossip, Keys, KeysError, OwnSharing},
    l1::{self, Carried, L1View},
    propose::Proposer,
    resume::Resume,
    reveal::Reveals,
    sequencer::Sequencer,
    settle::Settlement,
    store::Store,
};

/// Why a sequencer cannot start from a store.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError<E: std::error::Error + 'static> {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be read, or is damaged.
    #[error(
        "the store cannot be recovered from; restore a backup, or start from an empty directory and catch up"
    )]
    Archive(#[from] ArchiveError<E>),
    /// The store belongs to another network.
    #[error(
        "this data directory holds network {found}, expected {expected}; use another directory"
    )]
    OtherNetwork {
        /// The configured network.
        expected: NetworkId,
        /// The store's.
        found: NetworkId,
    },
    /// The consensus log is damaged.
    #[error("the consensus log cannot be replayed")]
    Engine(#[from] conclave_consensus::ConfigError),
    /// The threshold keys do not follow from the blocks.
    #[error(
        "the stored blocks and keys do not fit together; restore a backup, or catch up from an empty directory"
    )]
    Keys(#[from] KeysError),
    /// A decided block that must be there is not.
    #[error("block {0} is missing from the store")]
    MissingBlock(Height),
}

type Recovery<T, S> = Result<T, RecoverError<<S as Store>::Error>>;

impl Sequencer {
    /// Starts from `store`, and says what to do first: the returned [`Ready`] is to be persisted and
    /// carried out like any other.
    ///
    /// # Errors
    ///
    /// If configuration and store do not fit together, or the store is damaged.
    pub fn recover<S: Store>(config: Config, store: &S, now: Time) -> Recovery<(Self, Ready), S> {
        Self::recover_with(config, Shared::default(), store, now)
    }

    /// [`Sequencer::recover`] with what this process has already.
    ///
    /// # Errors
    ///
    /// As [`Sequencer::recover`].
    pub fn recover_with<S: Store>(
        config: Config,
        shared: Shared,
        store: &S,
        now: Time,
    ) -> Recovery<(Self, Ready), S> {
        let context = Context::new(config, shared)?;
        let found = archive::network(store)?;
        if let Some(found) = found.filter(|found| *found != context.network) {
            return Err(RecoverError::OtherNetwork { expected: context.network, found });
        }
        let chain = recover_chain(&context, store)?;
        let admitted = chain.keys.admitted(chain.next());
        let own_sharing = recover_own_sharing(&context, &chain.keys, store)?;
        let engine = recover_engine(&context, &chain, store)?;
        let settlement = Settlement::recover(&context.domain, &chain.keys, chain.revealed, store)?;
        let params = &context.genesis.params;
        let mut sequencer = Self {
            pool: Pool::new(PoolBounds::default(), params),
            engine,
            l1: L1View::new(chain.parent.l1_origin, chain.parent.forced_cursor),
            chain,
            intake: Intake::recover(admitted, store)?,
            proposer: Proposer::default(),
            candidates: Candidates::default(),
            reveals: Reveals::default(),
            catch_up: CatchUp::default(),
            sharing: Gossip::default(),
            own_sharing,
            settlement,
            evidence_count: 0,
            next_job: JobNumber::default(),
            ready: Ready::default(),
            context,
        };
        if found.is_none() {
            let network = sequencer.context.network;
            sequencer.write(archive::put_network(&network));
        }
        sequencer.erase_leftovers();
        sequencer.restore_candidates(store)?;
        sequencer.restore_reveals(now, store)?;
        sequencer.proposer.decided(now);
        let told = sequencer.context.identity.as_ref().and_then(|own| own.lost_state);
        let has_history = store.high_water().map_err(ArchiveError::Store)?.is_some();
        if let Some(lost) = told.filter(|_| !has_history) {
            sequencer.catch_up.resume = Some(Resume::find(lost, store)?);
        }
        let outputs = sequencer.engine.start_height(now, sequencer.chain.next());
        sequencer.absorb(now, outputs);
        sequencer.resume_settlement(now);
        let ready = std::mem::take(&mut sequencer.ready);
        Ok((sequencer, ready))
    }

    fn restore_candidates<S: Store>(&mut self, store: &S) -> Recovery<(), S> {
        let own = self.own_at(self.chain.next());
        for stored in archive::candidates(store, self.chain.next())? {
            let bundles = archive::block_bundles(store, &stored.block)?;
            let is_own = own == Some(stored.block.header.proposer);
            self.candidates.restore(stored, bundles, is_own);
        }
        Ok(())
    }

    fn restore_reveals<S: Store>(&mut self, now: Time, store: &S) -> Recovery<(), S> {
        let mut blocks = Vec::new();
        for height in self.chain.revealed.up_to(self.chain.decided()) {
            let stored = archive::block(store, height)?;
            blocks.push(stored.ok_or(RecoverError::MissingBlock(height))?.block);
        }
        let carried = blocks.iter().map(|block| block.body.l1_entries.len() as u64).sum();
        let mut cursor = self.chain.parent.forced_cursor.saturating_sub(carried);
        for block in blocks {
            let bundles = archive::block_bundles(store, &block)?;
            let entries = &block.body.l1_entries;
            cursor = l1::cursor_after(cursor, entries);
            let withdrawals = archive::withdrawals(store, block.header.height)?;
            let carried = Carried::new(cursor, entries, &self.context.rollups, withdrawals);
            self.begin_reveal(now, &block, carried, bundles, None);
        }
        Ok(())
    }
}

fn recover_chain<S: Store>(context: &Context, store: &S) -> Recovery<Chain, S> {
    let genesis = &context.genesis;
    let keys = recover_keys(context, store)?;
    let Some(tip) = archive::tip(store)? else {
        let (parent, ledger) = (Parent::genesis(genesis), Ledger::new(genesis));
        let cursors = Cursors::default();
        let (certificate, revealed, digests) = (None, Height::ZERO, BTreeMap::new());
        return Ok(Chain { parent, certificate, ledger, cursors, keys, revealed, digests });
    };
    let Tip { decided, revealed, reveal_digest, ledger_digest, till, forced_cursor } = tip;
    let stored = archive::block(store, decided)?.ok_or(RecoverError::MissingBlock(decided))?;
    let parent = Parent::block(&stored.block.header, forced_cursor);
    let ledger = stored_ledger(genesis, store, till, ledger_digest)?;
    let cursors = stored_cursors(genesis, store)?;
    let mut digests = BTreeMap::from([(revealed, reveal_digest)]);
    let before = parent.revealed_height.previous().unwrap_or_default();
    for height in before.up_to(revealed) {
        if let Some(reveal) = archive::reveal(store, height)? {
            digests.insert(height, reveal.digest);
        }
    }
    let certificate = Some(stored.certificate);
    Ok(Chain { parent, certificate, ledger, cursors, keys, revealed, digests })
}

/// The keys as the blocks have made them: from the last record on, the blocks are taken again.
fn recover_keys<S: Store>(context: &Context, store: &S) -> Recovery<Keys, S> {
    let genesis = &context.genesis;
    let (mut keys, from) = match archive::keys(store)? {
        None => (context.founding.keys.clone(), Height::ZERO),
        Some(checkpoint) => {
            let at = checkpoint.at;
            (Keys::restore(genesis, checkpoint)?, at)
        }
    };
    let Some(tip) = archive::tip(store)? else { return Ok(keys) };
    for height in from.up_to(tip.decided) {
        let stored = archive::block(store, height)?.ok_or(RecoverError::MissingBlock(height))?;
        keys.replay(&stored.block)?;
    }
    Ok(keys)
}

fn recover_own_sharing<S: Store>(
    context: &Context,
    keys: &Keys,
    store: &S,
) -> Recovery<OwnSharing, S> {
    let mut own = OwnSharing::new(store.secrets().map_err(ArchiveError::Store)?);
    let brought = context.identity.as_ref().and_then(|own| own.secret_share.as_ref());
    let genesis = keys
        .of_epoch(Epoch::ZERO)
        .and_then(|(_, members)| Some(members.points(context.own_in(members.committee())?).start));
    if let Some((share, point)) = brought.zip(genesis) {
        own.insert_share(Epoch::ZERO, point, Arc::clone(share));
    }
    own.keep_right(keys, |committee| context.own_in(committee));
    Ok(own)
}

/// The ledger that a node goes on with: what is stored, over the genesis.
pub(crate) fn stored_ledger<S: Store>(
    genesis: &Genesis,
    store: &S,
    till: Till,
    digest: Digest,
) -> Read<Ledger, S> {
    let ledger = Ledger::new(genesis);
    let mut accounts: BTreeMap<_, _> =
        ledger.accounts().map(|(address, account)| (*address, account.clone())).collect();
    accounts.extend(archive::accounts(store)?);
    Ok(Ledger::restore(accounts, till, digest))
}

/// Where a node goes on with each rollup's batches.
pub(crate) fn stored_cursors<S: Store>(genesis: &Genesis, store: &S) -> Read<Cursors, S> {
    let mut cursors = Cursors::default();
    for rollup in &genesis.rollups {
        if let Some(cursor) = archive::cursor(store, rollup.id)? {
            cursors.set(rollup.id, cursor);
        }
    }
    Ok(cursors)
}

fn recover_engine<S: Store>(context: &Context, chain: &Chain, store: &S) -> Recovery<Engine, S> {
    let next = chain.next();
    let high_water =
        store.high_water().map_err(|error| RecoverError::Archive(ArchiveError::Store(error)))?;
    let recovered = Recovered {
        decided: chain.decided(),
        high_water,
        // Without any record of a signing history, not even an empty one, this machine may have signed
        // what it no longer knows: it follows and does not sign.
        may_sign: high_water.is_some(),
        wal: archive::wal(store, next)?,
        signed: archive::signed(store, next)?,
    };
    let config = conclave_consensus::Config {
        domain: context.domain,
        committees: chain.keys.committees().clone(),
        key: context.identity.as_ref().map(|own| own.signing_key.clone()),
        timing: context.genesis.params.timing.clone(),
    };
    Ok(Engine::with_verifier(config, recovered, Arc::clone(&context.verifier))?)
}
