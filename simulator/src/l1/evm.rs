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
//! that of another with the same transactions, and what a unit of gas costs at least because others want it. Left out is what no contract can see: signatures of accounts, whose
//! nonces are counted when a transaction is executed, and the root of the state. The price of gas follows EIP-1559;
//! whoever is not ready to pay it waits, and with a transaction all later ones of its sender.
//!
//! **Bounds.** The state after a block is kept for as many blocks as can be taken back, and the pool holds [`POOL_MAX`]
//! transactions; what is beyond is refused.

mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
/// What everybody is ready to pay for a unit of gas, in wei, unless it is urgent.
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
    /// What its sender is ready to pay for a unit of it, in wei.
    pub(super) price_max_wei: u64,
}

impl Call {
    /// A call of a contract that sends no ether along.
    pub(super) fn new(from: Address, to: Address, call: &impl SolCall, gas: u64) -> Self {
        Self::of(from, Some(to), call.abi_encode().into(), gas)
    }

    /// One with this data; no contract at all is one that it makes.
    pub(super) const fn of(from: Address, to: Option<Address>, data: Bytes, gas: u64) -> Self {
        Self { from, to, value_wei: 0, data, gas, price_max_wei: PRICE_MAX }
    }

    /// The same with ether.
    pub(super) fn paying(self, wei: u128) -> Self {
        Self { value_wei: wei, ..self }
    }

    /// The same, whose sender is ready to pay ten times of what is usual.
    pub(super) fn urgent(self) -> Self {
        Self { price_max_wei: PRICE_MAX.saturating_mul(10), ..self }
    }

    /// Whether it is to do the same as another, so that its sender replaces that.
    fn replaces(&self, other: &Self) -> bool {
        let errand = |call: &Self| call.data.first_chunk::<4>().copied();
        (self.from, self.to, errand(self)) == (other.from, other.to, errand(other))
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

/// What a block is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// When, in seconds.
    pub(super) timestamp: u64,
    /// What makes its hash differ from that of another with the same transactions.
    pub(super) salt: [u8; 32],
    /// How many of the waiting transactions its maker has heard of.
    pub(super) most: usize,
    /// What a unit of gas costs at least.
    pub(super) price_min_wei: u64,
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
    /// What a unit of gas would cost if nobody else wanted it.
    calm_wei: u64,
    pub(super) hash: B256,
    pub(super) executed: Vec<Executed>,
    pub(super) logs: Vec<Log>,
    /// Transactions that waited for a lower price.
    pub(super) priced_out: usize,
    /// None if it is too old to be asked.
    after: Option<Arc<State>>,
}

impl Sealed {
    pub(super) const fn number(&self) -> u64 {
        self.header.number
    }

    /// Whether gas is dearer in it than by what was in the blocks before.
    pub(super) fn is_dear(&self) -> bool {
        self.header.base_fee_per_gas.unwrap_or(0) > self.calm_wei
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
            calm_wei: PRICE_FIRST,
            executed: Vec::new(),
            logs: Vec::new(),
            priced_out: 0,
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

    /// Somebody wants this to be in a block, in the place of what it has sent before to the same end.
    pub(super) fn send_again(&mut self, call: Call) -> bool {
        self.pool.retain(|waiting| !call.replaces(waiting));
        self.send(call)
    }

    /// The same, before all else that its sender waits for: transactions of one sender are in the order of their
    /// nonces, so that what is to come soon takes the first of those that wait.
    pub(super) fn send_first(&mut self, call: Call) -> bool {
        self.pool.retain(|waiting| !call.replaces(waiting));
        let has_room = self.pool.len() < POOL_MAX;
        if has_room {
            let first = self.pool.iter().position(|waiting| waiting.from == call.from);
            self.pool.insert(first.unwrap_or(self.pool.len()), call);
        }
        has_room
    }

    /// Makes a block of what waits: the first of it, in the order in which it came, as far as it fits and is ready to
    /// pay.
    ///
    /// # Errors
    ///
    /// If the EVM cannot go on, or a transaction cannot be in any block: neither is the doing of a contract.
    pub(super) fn seal(&mut self, slot: &Slot) -> Result<&Sealed, EvmError> {
        let calm_wei = self.calm_price();
        let mut header = self.next_header(slot, calm_wei.max(slot.price_min_wei));
        let price = header.base_fee_per_gas.unwrap_or(0);
        let mut evm = self.evm();
        evm.apply_system_calls(&header)?;
        let (mut used, mut taken) = (0_u64, BTreeSet::new());
        // Nonces are in order: what comes after a transaction that waits does, too.
        let mut waits: BTreeSet<Address> = BTreeSet::new();
        let mut priced_out = 0_usize;
        let (mut executed, mut logs, mut transactions) = (Vec::new(), Vec::new(), Vec::new());
        for (place, call) in self.pool.iter().enumerate().take(slot.most) {
            if price > call.price_max_wei || waits.contains(&call.from) {
                waits.insert(call.from);
                priced_out = priced_out.saturating_add(1);
                continue;
            }
            if used.saturating_add(call.gas) > BLOCK_GAS_MAX {
                break;
            }
            let sender = h160(call.from);
            let nonce = evm.db.get_account(sender).map_err(EvmError::from)?.info.nonce;
            let transaction = call.transaction(nonce, call.price_max_wei);
            let (_, report) = evm.execute_tx(&transaction, &header, &mut used, sender)?;
            taken.insert(place);
            let output = Bytes(report.output.clone());
            let output = if report.is_success() { Ok(output) } else { Err(output) };
            executed.push(Executed { call: call.clone(), output });
            logs.extend(report.logs.into_iter().map(log));
            transactions.push(transaction);
        }
        let mut place = 0..;
        self.pool.retain(|_| place.next().is_none_or(|place| !taken.contains(&place)));
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
        self.blocks.push(Sealed { header, calm_wei, hash, executed, logs, priced_out, after });
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

    /// What a unit of gas costs in the next block, by what is in the blocks before.
    fn calm_price(&self) -> u64 {
        let Some(Sealed { header: parent, calm_wei, .. }) = self.blocks.last() else {
            return PRICE_FIRST;
        };
        let (limit, used) = (parent.gas_limit, parent.gas_used);
        let price = calculate_base_fee_per_gas(
            BLOCK_GAS_MAX,
            limit,
            used,
            *calm_wei,
            ELASTICITY_MULTIPLIER,
        );
        price.unwrap_or(PRICE_FIRST)
    }

    fn next_header(&self, slot: &Slot, price_wei: u64) -> BlockHeader {
        let Some(Sealed { header: parent, .. }) = self.blocks.last() else {
            return BlockHeader::default();
        };
        BlockHeader {
            parent_hash: parent.hash(),
            number: parent.number.saturating_add(1),
            timestamp: slot.timestamp,
            gas_limit: BLOCK_GAS_MAX,
            base_fee_per_gas: Some(price_wei),
            prev_randao: H256(slot.salt),
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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);

    fn call(from: Address, errand: u8) -> Call {
        Call::of(from, Some(Address::repeat_byte(9)), vec![errand; 4].into(), 50_000)
    }

    fn seal(chain: &mut Ethereum, price_min_wei: u64) -> Vec<(Address, u8)> {
        let slot = Slot { timestamp: 1, salt: [0; 32], most: usize::MAX, price_min_wei };
        let sealed = chain.seal(&slot).unwrap();
        assert_eq!(sealed.is_dear(), price_min_wei > 0);
        let errand = |call: &Call| (call.from, call.data.first().copied().unwrap_or_default());
        sealed.executed.iter().map(|executed| errand(&executed.call)).collect()
    }

    #[test]
    fn who_does_not_pay_the_price_waits_with_all_that_comes_after_and_then_nobody_does() {
        let mut chain = Ethereum::new([ONE, OTHER], 0, 4);
        for call in [call(ONE, 1), call(ONE, 2).urgent(), call(OTHER, 3).urgent()] {
            assert!(chain.send(call));
        }
        assert_eq!(seal(&mut chain, 2 * PRICE_MAX), [(OTHER, 3)]);
        assert_eq!(chain.blocks().last().map(|sealed| sealed.priced_out), Some(2));
        assert_eq!(seal(&mut chain, 20 * PRICE_MAX), []);
        assert_eq!(seal(&mut chain, 0), [(ONE, 1), (ONE, 2)]);
        assert_eq!(chain.waiting(), 0);
    }

    #[test]
    fn who_sends_again_replaces_what_waits_and_nothing_else() {
        let mut chain = Ethereum::new([ONE, OTHER], 0, 4);
        for call in [call(ONE, 1), call(ONE, 2), call(OTHER, 1)] {
            assert!(chain.send(call));
        }
        assert!(chain.send_again(call(ONE, 1).urgent()));
        assert_eq!(seal(&mut chain, 0), [(ONE, 2), (OTHER, 1), (ONE, 1)]);
    }

    #[test]
    fn what_is_urgent_waits_for_nothing_cheap_of_its_sender() {
        let mut chain = Ethereum::new([ONE, OTHER], 0, 4);
        for call in [call(OTHER, 1), call(ONE, 2), call(ONE, 1), call(OTHER, 2)] {
            assert!(chain.send(call));
        }
        assert!(chain.send_first(call(ONE, 1).urgent()));
        assert_eq!(seal(&mut chain, 2 * PRICE_MAX), [(ONE, 1)]);
        assert!(chain.send_first(call(ONE, 1).urgent()), "nothing of that end waits any more");
        assert_eq!(seal(&mut chain, 0), [(OTHER, 1), (ONE, 1), (ONE, 2), (OTHER, 2)]);
    }
}
