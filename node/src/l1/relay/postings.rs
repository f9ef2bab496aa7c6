//! What others have settled, held against this node's chain: the certificates in the calldata of postings.
//!
//! ```text
//!  Settled events ─▶ their transactions ─▶ postings in the data ─▶ of a height that was revealed here?
//!                                                                   └─▶ other than ours ─▶ the core: evidence
//! ```
//!
//! Of a fork L1 settles one side, and who follows the other may hear of the first from nobody else. What is read is
//! evidence by its signatures alone, so any one endpoint is enough to show it, final or not; one that lies can only keep
//! it back.
//!
//! **What is not seen**: what the inbox refused, since nothing tells of it, and a posting through a contract that has
//! not the whole call in its own data. The event alone is no evidence: no signature is in it.
//!
//! **Bounds.** [`LOOK_MAX`] postings of each endpoint a look, the newest; [`WAITING_MAX`] that wait for this node to
//! reveal their height, the lowest. What settles later contradicts as much, so nothing is lost by the rest. A
//! transaction is asked for once, of each endpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy::{
    primitives::{Address, B256, keccak256},
    providers::{DynProvider, Provider as _},
    rpc::types::Filter,
    sol_types::{SolEvent as _, SolValue as _},
    transports::TransportResult,
};
use conclave_contracts::{
    ConclaveInbox::{Posting, Settled},
    posting,
};
use conclave_sequencer::{
    Posted, Store,
    archive::{self, OnL1, Read},
};
use conclave_types::{Epoch, Height};

use super::{RelayError, Settler, session::Session};
use crate::l1::{Contracts, Endpoints, TooFew, logs::newest_first, panel::Panel};

/// Postings of one endpoint that are read in one look.
const LOOK_MAX: usize = 16;
/// Postings that wait for their height.
const WAITING_MAX: usize = 64;
/// Blocks below the newest that are read again: what a reorganization puts there was not there before.
const AGAIN: u64 = 64;

/// What was read of postings.
#[derive(Clone, Debug)]
pub(super) struct Postings {
    panel: Panel,
    inbox: Address,
    /// How L1 stood at the last look.
    seen: Option<(u64, u64)>,
    /// The first block that was not read yet.
    next: Option<u64>,
    /// Transactions that an endpoint has shown, with their blocks.
    shown: BTreeMap<(String, B256), u64>,
    waiting: Waiting,
}

/// Postings whose heights this node is yet to reveal.
#[derive(Clone, Debug, Default)]
struct Waiting(BTreeMap<(Height, B256), Posting>);

/// A posting's transaction as an endpoint shows it.
#[derive(Clone, Debug)]
struct Transaction {
    hash: B256,
    l1_block: u64,
    postings: Vec<Posting>,
}

impl Postings {
    pub(super) fn new(endpoints: Endpoints, contracts: &Contracts) -> Self {
        Self {
            panel: Panel::new(endpoints),
            inbox: contracts.inbox,
            seen: None,
            next: None,
            shown: BTreeMap::new(),
            waiting: Waiting::default(),
        }
    }

    /// Whether L1 stands elsewhere than at the last look.
    fn is_due(&self, stand: (u64, u64)) -> bool {
        self.seen != Some(stand)
    }

    /// Reads what was posted up to a block, `since` being the first block that can be of use.
    async fn look(&mut self, since: u64, newest: u64) -> Result<(), TooFew> {
        let from = self.next.map_or(since, |next| next.saturating_sub(AGAIN).max(since));
        let (inbox, known) = (self.inbox, Arc::new(self.shown.clone()));
        let asked = self.panel.ask_by_address(0, |url, provider| {
            let of_it = known.keys().filter(|(of, _)| of == url).map(|(_, hash)| *hash);
            let known: BTreeSet<B256> = of_it.collect();
            async move { look(&provider, inbox, (from, newest), &known).await }
        });
        for (url, transactions) in asked.await? {
            for Transaction { hash, l1_block, postings } in transactions {
                self.shown.insert((url.clone(), hash), l1_block);
                postings.into_iter().for_each(|posting| self.waiting.keep(posting));
            }
        }
        self.next = Some(newest.saturating_add(1));
        let least = newest.saturating_sub(AGAIN);
        self.shown.retain(|_, l1_block| *l1_block >= least);
        Ok(())
    }
}

impl Waiting {
    fn keep(&mut self, posting: Posting) {
        let height = Height::new(posting.commitment.height);
        self.0.insert((height, keccak256(posting.abi_encode())), posting);
        if self.0.len() > WAITING_MAX {
            self.0.pop_last();
        }
    }

    /// The postings of heights up to that.
    fn take(&mut self, revealed: Height) -> Vec<Posting> {
        let later = self.0.split_off(&(revealed.next(), B256::ZERO));
        std::mem::replace(&mut self.0, later).into_values().collect()
    }
}

/// What an endpoint shows of postings in these blocks, but for transactions that it has shown.
async fn look(
    provider: &DynProvider,
    inbox: Address,
    blocks: (u64, u64),
    known: &BTreeSet<B256>,
) -> TransportResult<Vec<Transaction>> {
    let filter = Filter::new().address(inbox).event_signature(Settled::SIGNATURE_HASH);
    let is_enough = |logs: &[alloy::rpc::types::Log]| logs.len() >= LOOK_MAX;
    let logs = newest_first(provider, &filter, blocks, is_enough).await?;
    let mut found = Vec::new();
    for log in logs.iter().rev().take(LOOK_MAX) {
        let (Some(hash), Some(l1_block)) = (log.transaction_hash, log.block_number) else {
            continue;
        };
        if known.contains(&hash) {
            continue;
        }
        let Some(transaction) = provider.get_transaction_by_hash(hash).await? else { continue };
        let data = alloy::consensus::Transaction::input(&transaction);
        let postings = posting::postings(data).collect();
        found.push(Transaction { hash, l1_block, postings });
    }
    Ok(found)
}

/// Those of some postings that are of another history than this node's.
fn others<S: Store>(store: &S, postings: Vec<Posting>) -> Read<Vec<Posted>, S> {
    let mut others = Vec::new();
    for posting in postings {
        let epoch = Epoch::new(posting.commitment.epoch);
        let Some(committee) = archive::committee(store, epoch)? else { continue };
        let Some(certificate) = posting::certificate(&posting, &committee) else { continue };
        if let OnL1::Other(posted) = archive::posted(store, certificate)? {
            others.push(*posted);
        }
    }
    Ok(others)
}

impl Settler {
    /// Reads what was posted since, and tells the core of what is not of its history. `stand` is how L1 stands, in epochs
    /// and heights.
    pub(super) async fn read_postings(
        &self,
        session: &mut Session,
        stand: (u64, u64),
        newest: u64,
    ) -> Result<(), RelayError> {
        let revealed = self.driver.snapshot().status.revealed;
        let postings = &mut session.postings;
        if postings.is_due(stand) {
            let epoch = self.read(move |store| archive::commitment(store, revealed)).await?;
            let epoch = epoch.map_or_else(Epoch::default, |commitment| commitment.epoch);
            let since = self.begun(epoch).await?;
            postings.look(since, newest).await?;
            postings.seen = Some(stand);
        }
        let taken = postings.waiting.take(revealed);
        if taken.is_empty() {
            return Ok(());
        }
        for posted in self.read(move |store| others(store, taken)).await? {
            let height = posted.certificate.commitment.height;
            tracing::debug!(%height, "L1 shows another commitment than this node has");
            // A node that is stopping needs no evidence any more.
            if self.driver.show(posted).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::{Bytes, U256},
        providers::{ProviderBuilder, mock::Asserter},
        sol_types::SolCall as _,
    };
    use conclave_contracts::ConclaveInbox::{BlockCommitment, commitCall};
    use serde_json::{Value, json};

    use super::*;

    fn posting(height: u64) -> Posting {
        let commitment = BlockCommitment {
            epoch: 1,
            height,
            blockId: B256::ZERO,
            historyRoot: B256::ZERO,
            revealRoot: B256::ZERO,
            rollupCount: 0,
            originNumber: 3,
            originHash: B256::ZERO,
            forcedCursor: 0,
            withdrawalsRoot: B256::ZERO,
            nextCommittee: B256::ZERO,
            dkgResult: B256::ZERO,
        };
        let (signers, signature) = (U256::from(7), Bytes::from(vec![0; 256]));
        Posting { commitment, signers, signature, peaks: Vec::new(), added: Vec::new() }
    }

    fn hash(of: u64) -> B256 {
        B256::from(U256::from(of))
    }

    /// The event of a posting in a block, by transaction `of`.
    fn event(of: u64, block: u64) -> Value {
        let settled = Settled {
            epoch: 1,
            height: of,
            commitment: hash(1),
            root: hash(2),
            origin: 3,
            cursor: 0,
            relayer: Address::ZERO,
        };
        let told = settled.encode_log_data();
        json!({
            "address": Address::ZERO, "topics": told.topics(), "data": told.data,
            "blockHash": hash(9), "blockNumber": format!("{block:#x}"),
            "transactionHash": hash(of), "transactionIndex": "0x0", "logIndex": "0x0", "removed": false,
        })
    }

    fn transaction(of: u64, input: &[u8]) -> Value {
        json!({
            "hash": hash(of), "nonce": "0x0", "blockHash": hash(9), "blockNumber": "0x5",
            "transactionIndex": "0x0", "from": Address::ZERO, "to": Address::ZERO, "value": "0x0",
            "gasPrice": "0x1", "gas": "0x5208", "input": Bytes::copy_from_slice(input), "type": "0x0",
            "v": "0x1b", "r": "0x1", "s": "0x1", "chainId": null,
        })
    }

    #[tokio::test]
    async fn what_was_posted_is_read_out_of_the_transactions_of_its_events() {
        let answers = Asserter::new();
        let provider = ProviderBuilder::default().connect_mocked_client(answers.clone()).erased();
        answers.push_success(&json!([event(40, 4), event(50, 5), event(60, 6), event(70, 7)]));
        let call = commitCall { posting: posting(70) }.abi_encode();
        answers.push_success(&transaction(70, &call));
        // One that was posted through another contract, one that this endpoint does not have, and one that was read before.
        let through = [&[0xee; 36][..], &commitCall { posting: posting(60) }.abi_encode()].concat();
        answers.push_success(&transaction(60, &through));
        answers.push_success(&Value::Null);
        let known = BTreeSet::from([hash(40)]);
        let found = look(&provider, Address::ZERO, (3, 7), &known).await.unwrap();
        let read: Vec<_> = found
            .iter()
            .map(|shown| (shown.hash, shown.l1_block, shown.postings[0].commitment.height))
            .collect();
        assert_eq!(read, [(hash(70), 7, 70), (hash(60), 6, 60)]);
        assert_eq!(answers.read_q().len(), 0);
    }

    #[tokio::test]
    async fn so_many_are_read_and_no_more_wait_for_their_height_than_that() {
        let answers = Asserter::new();
        let provider = ProviderBuilder::default().connect_mocked_client(answers.clone()).erased();
        answers.push_success(&Value::Array((0..100).map(|of| event(of, of)).collect()));
        (0..LOOK_MAX).for_each(|_| answers.push_success(&Value::Null));
        look(&provider, Address::ZERO, (0, 99), &BTreeSet::new()).await.unwrap();
        assert_eq!(answers.read_q().len(), 0);

        let mut waiting = Waiting::default();
        // Whoever invents great heights is the first to be forgotten.
        for height in [u64::MAX, 7, 1 << 40, 9].into_iter().chain(100..200) {
            waiting.keep(posting(height));
            waiting.keep(posting(height));
        }
        assert_eq!(waiting.0.len(), WAITING_MAX);
        let mut taken = |revealed| -> Vec<_> {
            let taken = waiting.take(Height::new(revealed)).into_iter();
            taken.map(|posting| posting.commitment.height).collect()
        };
        assert_eq!(taken(6), [0; 0]);
        assert_eq!(taken(7), [7]);
        assert_eq!(taken(100), [9, 100]);
        assert_eq!(taken(1 << 50).len(), WAITING_MAX - 3);
    }
}
