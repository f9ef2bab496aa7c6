//! The accounts of an L1 after a block. Blocks share what they have not changed, so that each can keep the whole.

use std::{collections::BTreeMap, sync::Arc};

use ethrex_common::{
    H160, H256, U256,
    constants::EMPTY_TRIE_HASH,
    types::{AccountState, AccountUpdate, ChainConfig, Code, CodeMetadata},
};
use ethrex_vm::{EvmError, VmDatabase};

use super::CHAIN_ID;

/// Balance, nonce, code and storage of everyone.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    accounts: BTreeMap<H160, Arc<Account>>,
    codes: BTreeMap<H256, Code>,
}

#[derive(Clone, Debug, Default)]
struct Account {
    state: AccountState,
    storage: BTreeMap<H256, U256>,
}

impl State {
    /// Gives an account ether.
    pub(super) fn fund(&mut self, address: H160, wei: U256) {
        let account = self.accounts.entry(address).or_default();
        Arc::make_mut(account).state.balance = wei;
    }

    /// Puts a contract somewhere.
    pub(super) fn place(&mut self, address: H160, code: Code) {
        let account = self.accounts.entry(address).or_default();
        Arc::make_mut(account).state.code_hash = code.hash;
        self.codes.insert(code.hash, code);
    }

    /// The code at an address.
    pub(super) fn code(&self, address: &H160) -> &[u8] {
        let hash = self.accounts.get(address).map(|account| account.state.code_hash);
        hash.and_then(|hash| self.codes.get(&hash)).map_or(&[], Code::code)
    }

    /// What transactions did to an account.
    pub(super) fn apply(&mut self, update: AccountUpdate) {
        let AccountUpdate { address, removed, info, code, added_storage, removed_storage } = update;
        if removed {
            self.accounts.remove(&address);
            return;
        }
        if let Some(code) = code {
            self.codes.insert(code.hash, code);
        }
        let account = Arc::make_mut(self.accounts.entry(address).or_default());
        if let Some(info) = info {
            let state = &mut account.state;
            (state.nonce, state.balance) = (info.nonce, info.balance);
            state.code_hash = info.code_hash;
        }
        if removed_storage {
            account.storage.clear();
        }
        let written: BTreeMap<H256, U256> = added_storage.into_iter().collect();
        account.storage.extend(written);
        account.storage.retain(|_, value| !value.is_zero());
        // Only whether there is any storage is asked of the root, never what it is.
        let is_empty = account.storage.is_empty();
        account.state.storage_root = if is_empty { *EMPTY_TRIE_HASH } else { H256::zero() };
    }
}

/// What an EVM sees of an L1 when it makes the next block.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: Arc<State>,
    /// The hashes of blocks before.
    pub(super) hashes: Arc<BTreeMap<u64, H256>>,
}

impl VmDatabase for View {
    fn get_account_state(&self, address: H160) -> Result<Option<AccountState>, EvmError> {
        Ok(self.state.accounts.get(&address).map(|account| account.state))
    }

    fn get_storage_slot(&self, address: H160, key: H256) -> Result<Option<U256>, EvmError> {
        let account = self.state.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&key).copied()))
    }

    fn get_block_hash(&self, number: u64) -> Result<H256, EvmError> {
        self.hashes.get(&number).copied().ok_or_else(|| {
            EvmError::DB(format!("a block asks for the hash of {number}, which it cannot know"))
        })
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

    fn get_account_code(&self, hash: H256) -> Result<Code, EvmError> {
        Ok(self.state.codes.get(&hash).cloned().unwrap_or_default())
    }

    fn get_code_metadata(&self, hash: H256) -> Result<CodeMetadata, EvmError> {
        let length = self.state.codes.get(&hash).map_or(0, Code::len);
        Ok(CodeMetadata { length: u64::try_from(length).unwrap_or(u64::MAX) })
    }
}
