//! One slot becomes one EVM block.
//!
//! The transactions are executed in exactly the given order. One that cannot be executed at its
//! place is skipped with an outcome and leaves no trace in the state; one that reverts is included
//! and pays, as on any Ethereum chain. The finished block goes through the client's full import
//! (executed again, every header field checked), so what we build is what any client accepts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use conclave_types::ItemSource;
use ethrex_blockchain::{
    Blockchain,
    error::ChainError,
    payload::{
        BuildPayloadArgs, HeadTransaction, PayloadBuildContext, PayloadBuildResult, create_payload,
    },
};
use ethrex_common::{
    Address, H256,
    constants::MAX_RLP_BLOCK_SIZE,
    types::{BlockHeader, ELASTICITY_MULTIPLIER, MempoolTransaction},
};
use ethrex_storage::Store;
use ethrex_vm::EvmError;
use tracing::warn;

use crate::{
    culprit::{self, AttemptError, Excluded},
    genesis::Rules,
    outcome::{Outcome, Record, SkipReason},
    outcomes::{Outcomes, OutcomesError},
    slots::{Slot, SlotItem},
    transaction::parse,
};

/// Why a slot cannot be executed. Never a transaction's fault.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The client fails.
    #[error("the execution client fails")]
    Client(#[source] ChainError),
    /// Outcomes cannot be written.
    #[error(transparent)]
    Outcomes(#[from] OutcomesError),
    /// Not even a block without transactions can be sealed.
    #[error("not even an empty block can be sealed: {0}")]
    Unsealable(String),
}

/// What a slot became.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The block's header.
    pub header: BlockHeader,
    /// One record for each item of the slot, in order.
    pub records: Vec<Record>,
}

impl Executed {
    /// How many transactions are in the block.
    #[must_use]
    pub fn included(&self) -> usize {
        let included = |record: &&Record| matches!(record.outcome, Outcome::Included { .. });
        self.records.iter().filter(included).count()
    }
}

/// Executes `slot` on top of `parent` and imports the block; it is not the head yet. The outcomes
/// are on disk when this returns.
///
/// # Errors
///
/// [`ExecuteError`]: the disk or the client fails.
pub fn execute(
    rules: &Rules,
    store: &Store,
    blockchain: &Blockchain,
    outcomes: &Outcomes,
    parent: &BlockHeader,
    slot: &Slot,
) -> Result<Executed, ExecuteError> {
    let executor = Executor { rules, store, blockchain, parent, slot };
    let sealed = culprit::seal(slot.items.len(), |excluded, prefix| {
        // A panic inside the client is as good as an error; it must not halt the rollup either.
        catch_unwind(AssertUnwindSafe(|| executor.attempt(excluded, prefix)))
            .unwrap_or_else(|_| Err(AttemptError::Unsealable("the client panicked".into())))
    });
    let executed = sealed.map_err(|error| match error {
        AttemptError::Unsealable(reason) => ExecuteError::Unsealable(reason),
        AttemptError::Ours(error) => ExecuteError::Client(error),
    })?;
    outcomes.write(executed.header.number, &executed.records)?;
    Ok(executed)
}

struct Executor<'a> {
    rules: &'a Rules,
    store: &'a Store,
    blockchain: &'a Blockchain,
    parent: &'a BlockHeader,
    slot: &'a Slot,
}

/// Why an item is not in the block that is being built.
enum ItemError {
    Skip(SkipReason),
    Ours(ChainError),
}

impl From<SkipReason> for ItemError {
    fn from(reason: SkipReason) -> Self {
        Self::Skip(reason)
    }
}

impl Executor<'_> {
    /// Builds and imports a block of the first `prefix` items without the excluded ones.
    fn attempt(
        &self,
        excluded: &Excluded,
        prefix: usize,
    ) -> Result<Executed, AttemptError<ChainError>> {
        let mut context = self.begin().map_err(unsealable)?;
        let mut records = Vec::with_capacity(self.slot.items.len());
        for (position, item) in self.slot.items.iter().enumerate().take(prefix) {
            let outcome = match excluded.get(&position) {
                Some(reason) => Outcome::Skipped(SkipReason::Unsealable(reason.clone())),
                None => match self.apply(item, &mut context) {
                    Ok(outcome) => outcome,
                    Err(ItemError::Skip(reason)) => Outcome::Skipped(reason),
                    Err(ItemError::Ours(error)) => return Err(AttemptError::Ours(error)),
                },
            };
            records.push(Record::new(item, outcome));
        }
        let header = self.finish(context).inspect_err(|error| {
            warn!(timestamp = self.slot.timestamp, prefix, %error, "block does not seal");
        });
        Ok(Executed { header: header.map_err(unsealable)?, records })
    }

    fn begin(&self) -> Result<PayloadBuildContext, ChainError> {
        let arguments = BuildPayloadArgs {
            parent: self.parent.hash(),
            timestamp: self.slot.timestamp,
            fee_recipient: Address::zero(),
            random: H256(*self.slot.randomness.as_bytes()),
            withdrawals: Some(Vec::new()),
            beacon_root: Some(H256(*self.slot.block.as_bytes())),
            slot_number: None,
            version: 3,
            elasticity_multiplier: ELASTICITY_MULTIPLIER,
            gas_ceil: self.rules.gas_limit,
        };
        let extra_data = Bytes::copy_from_slice(&self.slot.end.to_extra_data());
        let payload = create_payload(&arguments, self.store, extra_data)?;
        let mut context =
            PayloadBuildContext::new(payload, self.store, &self.blockchain.options.r#type)?;
        self.blockchain.apply_system_operations(&mut context)?;
        Ok(context)
    }

    fn apply(
        &self,
        item: &SlotItem,
        context: &mut PayloadBuildContext,
    ) -> Result<Outcome, ItemError> {
        let raw = item.transaction.as_deref().ok_or(SkipReason::SlotFull)?;
        let parsed = parse(raw, self.rules.rollup.as_u64())?;
        let (wanted, left) = (parsed.transaction.gas_limit(), context.remaining_gas);
        if let ItemSource::Forced(forced) = item.source
            && wanted > forced.gas_limit
        {
            return Err(SkipReason::UnpaidGas { wanted, paid: forced.gas_limit }.into());
        }
        if wanted > left {
            return Err(SkipReason::BlockGas { wanted, left }.into());
        }
        let length = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        let found = context.payload_size.saturating_add(length);
        if found > MAX_RLP_BLOCK_SIZE {
            return Err(SkipReason::BlockBytes { found, limit: MAX_RLP_BLOCK_SIZE }.into());
        }
        let tip = parsed.transaction.effective_gas_tip(context.payload.header.base_fee_per_gas);
        let transaction = MempoolTransaction::new(parsed.transaction, parsed.sender);
        let head = HeadTransaction { tx: transaction, tip: tip.unwrap_or_default() };
        self.blockchain.apply_tx_to_payload(head, context).map_err(refused)?;
        context.payload_size = found;
        let index = context.receipts.len().saturating_sub(1);
        Ok(Outcome::Included {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            succeeded: context.receipts.last().is_some_and(|receipt| receipt.succeeded),
        })
    }

    fn finish(&self, mut context: PayloadBuildContext) -> Result<BlockHeader, ChainError> {
        self.blockchain.extract_requests(&mut context)?;
        self.blockchain.apply_withdrawals(&mut context)?;
        self.blockchain.finalize_payload(&mut context)?;
        let block = PayloadBuildResult::from(context).payload;
        let header = block.header.clone();
        self.blockchain.add_block_pipeline(block, None)?;
        Ok(header)
    }
}

fn refused(error: ChainError) -> ItemError {
    if is_ours(&error) {
        return ItemError::Ours(error);
    }
    let text = error.to_string();
    let text = text.strip_prefix("Invalid Block: Invalid Transaction: ").unwrap_or(&text);
    ItemError::Skip(SkipReason::Refused(text.to_owned()))
}

fn unsealable(error: ChainError) -> AttemptError<ChainError> {
    if is_ours(&error) {
        AttemptError::Ours(error)
    } else {
        AttemptError::Unsealable(error.to_string())
    }
}

/// Whether the machine is at fault. Taking a failing disk for an invalid transaction would skip what
/// every other node executes. The EVM hands database errors on as text only.
fn is_ours(error: &ChainError) -> bool {
    match error {
        ChainError::StoreError(_)
        | ChainError::TrieError(_)
        | ChainError::ParentNotFound
        | ChainError::ParentStateNotFound
        | ChainError::WitnessGeneration(_)
        | ChainError::UnknownPayload
        | ChainError::EvmError(EvmError::DB(_)) => true,
        ChainError::EvmError(EvmError::Custom(text)) | ChainError::Custom(text) => {
            text.contains("Database access error")
                || text.contains("DB error")
                || text.contains("Failed to spawn")
        }
        ChainError::InvalidBlock(_)
        | ChainError::RLPDecodeError(_)
        | ChainError::InvalidTransaction(_)
        | ChainError::EvmError(
            EvmError::Transaction(_)
            | EvmError::Header(_)
            | EvmError::Precompile(_)
            | EvmError::InvalidEVM(_)
            | EvmError::InvalidDepositRequest
            | EvmError::SystemContractCallFailed(_),
        ) => false,
    }
}
