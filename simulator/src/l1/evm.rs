//! An Ethereum in memory: blocks of transactions, executed by the execution client that is also the L1 of a devnet,
//! under Osaka's rules. It can take blocks back.
//!
//! ```text
//!  call ─▶ pool ─▶ seal: Evm over the newest state ─▶ block, with its logs and the state after it
//!           ▲                                            │
//!           └──────────────── undo ◀─────────────────────┘
//! ```
//!
//! Nothing here knows of time or chance: whoever seals a block says when that is, and what makes its hash differ from
//! that of another with the same transactions. Left out is what no contract can see: signatures of accounts, whose
//! nonces are counted when a transaction is executed, and the root of the state. The price of gas follows EIP-1559.
//!
//! **Bounds.** The state after a block is kept for as many blocks as can be taken back, and the pool holds [`POOL_MAX`]
//! transactions; what is beyond is refused.

mod state;

use std::{collections::BTreeMap, sync::Arc};

use alloy::{
    primitives::{Address, B256, Bytes, Log, LogData},
    sol_types::SolCall,
};
use ethrex_common::{
    H160, H256, U256,
    types::{
        BlockHeader, Code, EIP1559Transaction, ELASTICITY_MULTIPLIER, Transaction, TxKind,
        calculate_base_fee_per_gas, compute_transactions_root,
    },
};
use ethrex_crypto::NativeCrypto;
use ethrex_vm::{Evm, EvmError};

use self::state::{State, View};

/// As development chains have it.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// What fits in a block.
const BLOCK_GAS_MAX: u64 = 60_000_000;
/// What EIP-7825 allows one transaction.
pub(super) const TRANSACTION_GAS_MAX: u64 = 1 << 24;
/// What everybody is ready to pay for a unit of gas, in wei.
const PRICE_MAX: u64 = 100_000_000_000;
/// What it costs in the first block.
const PRICE_FIRST: u64 = 1_000_000_000;
/// Who asks what transactions would do. It has no need of ether: questions pay nothing.
const ASKER: H160 = H160([0xa5; 20]);
/// Blocks back to which the EVM knows hashes by itself.
const HASHES: u64 = 256;
/// Transactions that can wait.
const POOL_MAX: usize = 65_536;
/// The contract that remembers the hashes of blocks, with the code of mainnet (EIP-2935).
const HISTORY: (H160, [u8; 83]) = (
    H160([
        0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb, 0x7a, 0x02, 0x33, 0x5b, 0x17,
        0x53, 0x20, 0x00, 0x29, 0x35,
    ]),
    alloy::primitives::hex!(
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f3560014303811160"
        "4257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    ),
);

/// A transaction that somebody wants to be in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) from: Address,
    /// None makes a contract.
    pub(super) to: Option<Address>,
    pub(super) value_wei: u128,
    pub(super) data: Bytes,
    /// The gas that it is given.
    pub(super) gas: u64,
}

impl Call {
    /// A call of a contract that sends no ether along.
    pub(super) fn new(from: Address, to: Address, call: &impl SolCall, gas: u64) -> Self {
        Self { from, to: Some(to), value_wei: 0, data: call.abi_encode().into(), gas }
    }

    /// The same with ether.
    pub(super) fn paying(self, wei: u128) -> Self {
        Self { value_wei: wei, ..self }
    }

    fn transaction(&self, nonce: u64, price_max: u64) -> Transaction {
        Transaction::EIP1559Transaction(EIP1559Transaction {
            chain_id: CHAIN_ID,
            nonce,
            max_priority_fee_per_gas: 0,
            max_fee_per_gas: price_max,
            gas_limit: self.gas,
            to: self.to.map_or(TxKind::Create, |to| TxKind::Call(h160(to))),
            value: U256::from(self.value_wei),
            data: self.data.0.clone(),
            ..EIP1559Transaction::default()
        })
    }
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    pub(super) call: Call,
    /// What it returned, or what the contract refused it with.
    pub(super) output: Result<Bytes, Bytes>,
}

/// A block.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    header: BlockHeader,
    pub(super) hash: B256,
    pub(super) executed: Vec<Executed>,
    pub(super) logs: Vec<Log>,
    /// None if it is too old to be asked.
    after: Option<Arc<State>>,
}

impl Sealed {
    pub(super) const fn number(&self) -> u64 {
        self.header.number
    }

    pub(super) const fn parent(&self) -> B256 {
        B256::new(self.header.parent_hash.0)
    }
}

/// The chain, and what waits to be in it.
#[derive(Debug)]
pub(super) struct Ethereum {
    /// From number 0 on; there is always one.
    blocks: Vec<Sealed>,
    newest: Arc<State>,
    pool: Vec<Call>,
    /// How many blocks can be taken back.
    undo_max: usize,
}

impl Ethereum {
    /// A chain whose first block has these accounts, each with a million ether, and of which `undo_max` blocks can be
    /// taken back.
    pub(super) fn new(
        funded: impl IntoIterator<Item = Address>,
        timestamp: u64,
        undo_max: usize,
    ) -> Self {
        let mut state = State::default();
        for address in funded {
            state.fund(h160(address), U256::exp10(24));
        }
        let (place, code) = HISTORY;
        state.place(place, Code::from_bytecode(code.to_vec().into(), &NativeCrypto));
        let header = BlockHeader {
            timestamp,
            gas_limit: BLOCK_GAS_MAX,
            base_fee_per_gas: Some(PRICE_FIRST),
            ..BlockHeader::default()
        };
        let newest = Arc::new(state);
        let first = Sealed {
            hash: B256::new(header.hash().0),
            header,
            executed: Vec::new(),
            logs: Vec::new(),
            after: Some(Arc::clone(&newest)),
        };
        Self { blocks: vec![first], newest, pool: Vec::new(), undo_max }
    }

    /// The blocks, from number 0 on.
    pub(super) fn blocks(&self) -> &[Sealed] {
        &self.blocks
    }

    /// Transactions that wait.
    pub(super) fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// Somebody wants this to be in a block. False if there is no room for it.
    pub(super) fn send(&mut self, call: Call) -> bool {
        let has_room = self.pool.len() < POOL_MAX;
        if has_room {
            self.pool.push(call);
        }
        has_room
    }

    /// Makes a block of what waits: the first `most` of it at most, in the order in which it came, as far as it fits.
    ///
    /// # Errors
    ///
    /// If the EVM cannot go on, or a transaction cannot be in any block: neither is the doing of a contract.
    pub(super) fn seal(
        &mut self,
        timestamp: u64,
        salt: [u8; 32],
        most: usize,
    ) -> Result<&Sealed, EvmError> {
        let mut header = self.next_header(timestamp, salt);
        let mut evm = self.evm();
        evm.apply_system_calls(&header)?;
        let (mut used, mut taken) = (0_u64, 0_usize);
        let (mut executed, mut logs, mut transactions) = (Vec::new(), Vec::new(), Vec::new());
        for call in self.pool.iter().take(most) {
            if used.saturating_add(call.gas) > BLOCK_GAS_MAX {
                break;
            }
            let sender = h160(call.from);
            let nonce = evm.db.get_account(sender).map_err(EvmError::from)?.info.nonce;
            let transaction = call.transaction(nonce, PRICE_MAX);
            let (_, report) = evm.execute_tx(&transaction, &header, &mut used, sender)?;
            taken = taken.saturating_add(1);
            let output = Bytes(report.output.clone());
            let output = if report.is_success() { Ok(output) } else { Err(output) };
            executed.push(Executed { call: call.clone(), output });
            logs.extend(report.logs.into_iter().map(log));
            transactions.push(transaction);
        }
        self.pool.drain(..taken);
        header.gas_used = used;
        header.transactions_root = compute_transactions_root(&transactions, &NativeCrypto);
        let mut state = (*self.newest).clone();
        let mut updates = evm.get_state_transitions()?;
        updates.sort_by_key(|update| update.address);
        for update in updates {
            state.apply(update);
        }
        self.newest = Arc::new(state);
        let old = self.blocks.len().checked_sub(self.undo_max.saturating_add(1));
        if let Some(old) = old.and_then(|old| self.blocks.get_mut(old)) {
            old.after = None;
        }
        let (hash, after) = (B256::new(header.hash().0), Some(Arc::clone(&self.newest)));
        self.blocks.push(Sealed { header, hash, executed, logs, after });
        self.blocks.last().ok_or_else(|| EvmError::Custom("there is no first block".into()))
    }

    /// Takes back the newest block; what was in it waits again, before all else. False if that cannot be.
    pub(super) fn undo(&mut self) -> bool {
        let before = self.blocks.iter().rev().nth(1).and_then(|block| block.after.clone());
        let Some((before, undone)) = before.and_then(|before| Some((before, self.blocks.pop()?)))
        else {
            return false;
        };
        self.newest = before;
        self.pool.splice(..0, undone.executed.into_iter().map(|executed| executed.call));
        true
    }

    /// What a contract answers in the newest block, or what it refuses the question with.
    ///
    /// # Errors
    ///
    /// If the EVM cannot go on, or the answer is of another contract.
    pub(super) fn ask<C: SolCall>(
        &self,
        of: Address,
        question: &C,
    ) -> Result<Result<C::Return, Bytes>, EvmError> {
        let call = Call::new(address(ASKER), of, question, TRANSACTION_GAS_MAX);
        let Some(newest) = self.blocks.last() else { return Ok(Err(Bytes::new())) };
        // As nodes answer `eth_call`: in the newest block, for nothing.
        let header = BlockHeader { base_fee_per_gas: Some(0), ..newest.header.clone() };
        let (_, report) = self.evm().execute_tx(&call.transaction(0, 0), &header, &mut 0, ASKER)?;
        let output = Bytes(report.output.clone());
        if !report.is_success() {
            return Ok(Err(output));
        }
        let answer = C::abi_decode_returns(&output);
        answer.map(Ok).map_err(|error| EvmError::Custom(format!("{of} answers otherwise: {error}")))
    }

    /// The code at an address, which never changes once it is there.
    pub(super) fn code(&self, at: Address) -> &[u8] {
        self.newest.code(&h160(at))
    }

    fn next_header(&self, timestamp: u64, salt: [u8; 32]) -> BlockHeader {
        let Some(Sealed { header: parent, .. }) = self.blocks.last() else {
            return BlockHeader::default();
        };
        let price = calculate_base_fee_per_gas(
            BLOCK_GAS_MAX,
            parent.gas_limit,
            parent.gas_used,
            parent.base_fee_per_gas.unwrap_or(PRICE_FIRST),
            ELASTICITY_MULTIPLIER,
        );
        BlockHeader {
            parent_hash: parent.hash(),
            number: parent.number.saturating_add(1),
            timestamp,
            gas_limit: BLOCK_GAS_MAX,
            base_fee_per_gas: price,
            prev_randao: H256(salt),
            ..BlockHeader::default()
        }
    }

    fn evm(&self) -> Evm {
        let recent = self.blocks.iter().rev().zip(0..HASHES).map(|(block, _)| block);
        let hashes: BTreeMap<u64, H256> =
            recent.map(|block| (block.number(), H256(block.hash.0))).collect();
        let view = View { state: Arc::clone(&self.newest), hashes: Arc::new(hashes) };
        Evm::new_for_l1(view, Arc::new(NativeCrypto))
    }
}

const fn h160(address: Address) -> H160 {
    H160(address.0.0)
}

const fn address(address: H160) -> Address {
    Address::new(address.0)
}

fn log(log: ethrex_common::types::Log) -> Log {
    let topics = log.topics.into_iter().map(|topic| B256::new(topic.0)).collect();
    Log { address: address(log.address), data: LogData::new_unchecked(topics, Bytes(log.data)) }
}
