//! An L1 in memory: the EVM of the execution client under Osaka's rules, with no blocks around it.

use std::sync::Arc;

use alloy::{
    primitives::{Address, Bytes},
    sol_types::SolCall,
};
use conclave_contracts::deployment::Creation;
use ethrex_common::{
    Address as H160, H256, U256,
    types::{
        AccountState, BlockHeader, ChainConfig, Code, CodeMetadata, EIP1559Transaction,
        Transaction, TxKind,
    },
};
use ethrex_crypto::NativeCrypto;
use ethrex_vm::{Evm, EvmError, VmDatabase};

pub(crate) const CHAIN_ID: u64 = 31_337;

/// What EIP-7825 allows one transaction.
const TRANSACTION_GAS_MAX: u64 = 1 << 24;

/// The chain before the first transaction: ether for everyone who sends, and nothing else.
#[derive(Clone)]
struct Genesis {
    funded: Vec<H160>,
    nonce: u64,
}

impl VmDatabase for Genesis {
    fn get_account_state(&self, address: H160) -> Result<Option<AccountState>, EvmError> {
        let balance = U256::exp10(24);
        let funded = self.funded.contains(&address);
        Ok(funded.then(|| AccountState { nonce: self.nonce, balance, ..AccountState::default() }))
    }

    fn get_storage_slot(&self, _: H160, _: H256) -> Result<Option<U256>, EvmError> {
        Ok(None)
    }

    fn get_block_hash(&self, number: u64) -> Result<H256, EvmError> {
        Ok(H256(block_hash(number)))
    }

    fn get_chain_config(&self) -> Result<ChainConfig, EvmError> {
        let genesis = Some(0);
        Ok(ChainConfig {
            chain_id: CHAIN_ID,
            homestead_block: genesis,
            eip150_block: genesis,
            eip155_block: genesis,
            eip158_block: genesis,
            byzantium_block: genesis,
            constantinople_block: genesis,
            petersburg_block: genesis,
            istanbul_block: genesis,
            berlin_block: genesis,
            london_block: genesis,
            merge_netsplit_block: genesis,
            shanghai_time: genesis,
            cancun_time: genesis,
            prague_time: genesis,
            osaka_time: genesis,
            terminal_total_difficulty: Some(0),
            terminal_total_difficulty_passed: true,
            ..ChainConfig::default()
        })
    }

    fn get_account_code(&self, _: H256) -> Result<Code, EvmError> {
        Ok(Code::default())
    }

    fn get_code_metadata(&self, _: H256) -> Result<CodeMetadata, EvmError> {
        Ok(CodeMetadata { length: 0 })
    }
}

/// The hash of the block with this number.
pub(crate) fn block_hash(number: u64) -> [u8; 32] {
    let mut hash = [0xb1; 32];
    hash[24..].copy_from_slice(&number.to_be_bytes());
    hash
}

pub(crate) struct L1 {
    evm: Evm,
    header: BlockHeader,
}

impl L1 {
    /// A chain on which these accounts have ether, and have sent `nonce` transactions already.
    pub(crate) fn new(funded: &[Address], nonce: u64) -> Self {
        let funded = funded.iter().map(|address| H160::from(address.0.0)).collect();
        let header = BlockHeader {
            number: 1_000,
            timestamp: 1_700_000_000,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(1),
            ..BlockHeader::default()
        };
        Self { evm: Evm::new_for_l1(Genesis { funded, nonce }, Arc::new(NativeCrypto)), header }
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    pub(crate) fn next_block(&mut self) {
        self.header.number += 1;
        self.header.timestamp += 12;
    }

    /// The code at an address.
    pub(crate) fn code(&mut self, address: Address) -> Vec<u8> {
        self.evm.db.get_account_code(H160::from(address.0.0)).unwrap().code().to_vec()
    }

    /// Sends what a deployment consists of, with the nonces that the accounts have.
    pub(crate) fn create(&mut self, deployer: Address, creation: &Creation) -> Result<(), Bytes> {
        let kind = TxKind::Create;
        self.execute(deployer, kind, 0, creation.data.clone()).map(|_deployed| ())
    }

    /// Calls a contract with ether, and keeps what the call does. Fails with what it reverted with.
    pub(crate) fn pay<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        gwei: u64,
        call: &C,
    ) -> Result<C::Return, Bytes> {
        let data = call.abi_encode().into();
        let answer = self.execute(from, TxKind::Call(H160::from(to.0.0)), gwei, data)?;
        Ok(C::abi_decode_returns(&answer).expect("an answer of the contract's ABI"))
    }

    /// [`Self::pay`] without ether.
    pub(crate) fn call<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, Bytes> {
        self.pay(from, to, 0, call)
    }

    fn execute(
        &mut self,
        from: Address,
        to: TxKind,
        gwei: u64,
        data: Bytes,
    ) -> Result<Bytes, Bytes> {
        let sender = H160::from(from.0.0);
        let transaction = Transaction::EIP1559Transaction(EIP1559Transaction {
            chain_id: CHAIN_ID,
            nonce: self.evm.db.get_account(sender).unwrap().info.nonce,
            max_priority_fee_per_gas: 1,
            max_fee_per_gas: 2,
            gas_limit: TRANSACTION_GAS_MAX,
            to,
            value: U256::from(gwei) * U256::exp10(9),
            data: data.0,
            ..EIP1559Transaction::default()
        });
        let executed = self.evm.execute_tx(&transaction, &self.header, &mut 0, sender);
        let (_, report) = executed.expect("a transaction that may be in a block");
        let output = Bytes(report.output.clone());
        if report.is_success() { Ok(output) } else { Err(output) }
    }
}
