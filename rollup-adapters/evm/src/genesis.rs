//! What a rollup starts from, and what every node of it must agree on.
//!
//! Two nodes with the same [`Rules`] derive the same blocks from the same batches. So the rules are
//! part of the EVM genesis block: the Conclave network id is its extra data and the slot length its
//! mix hash. A data directory of another network, chain or slot length thus has another genesis hash
//! and is refused; [`Rules::describe`] lets the error say in which field they differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
};

use conclave_types::{NetworkId, RollupId, json};
use ethrex_common::{
    Address, H256, U256,
    types::{Genesis, GenesisAccount},
};
use serde::de::Error as _;
use serde_json::{Value, json};

/// 10,000 ether.
const DEV_BALANCE_ETHER: u64 = 10_000;

/// The accounts of the mnemonic "test test test test test test test test test test test junk", whose
/// keys everybody knows.
pub const DEV_ACCOUNTS: [&str; 10] = [
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
    "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
    "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
    "0x976ea74026e726554db657fa54763abd0c3a0aa9",
    "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
    "0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
    "0xa0ee7a142d267c1f36714e4a8f75612f20a79720",
];

/// Contracts that the forks up to Osaka expect, with the code of mainnet: EIP-4788 (beacon roots),
/// EIP-2935 (block hashes), EIP-7002 (withdrawals), EIP-7251 (consolidations).
const SYSTEM_CONTRACTS: [(&str, &str); 4] = [
    (
        "0x000f3df6d732807ef1319fb7b8bb8522d0beac02",
        "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560\
         495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff4206\
         4281555f359062001fff015500",
    ),
    (
        "0x0000f90827f1c53a10cb7a02335b175320002935",
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f3560014303811160\
         4257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500",
    ),
    (
        "0x00000961ef480eb55e80d19ad83579a64c007002",
        "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffff\
         ffffffffffffffffffffffffffffffffffffffffffff146101f457600182026001905f5b5f8211156068\
         5781019083028483029004916001019190604d565b909390049250505036603814608857366101f45734\
         6101f4575f5260205ff35b34106101f45760015460010160015560035480600302600401338155600101\
         5f35815560010160203590553360601b5f5260385f601437604c5fa0600101600355005b600354600254\
         8082038060101160df575060105b5f5b8181146101835782810160030260040181604c02815460601b81\
         52601401816001015481526020019060020154807fffffffffffffffffffffffffffffffff0000000000\
         0000000000000000000000168252906010019060401c908160381c81600701538160301c816006015381\
         60281c81600501538160201c81600401538160181c81600301538160101c81600201538160081c816001\
         01535360010160e1565b910180921461019557906002556101a0565b90505f6002555f6003555b5f5480\
         7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff14156101cd57505f5b\
         6001546002828201116101e25750505f6101e8565b01600290035b5f555f600155604c025ff35b5f5ffd",
    ),
    (
        "0x0000bbddc7ce488642fb579f8b00f3a590007251",
        "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffff\
         ffffffffffffffffffffffffffffffffffffffffffff1461019a57600182026001905f5b5f8211156068\
         5781019083028483029004916001019190604d565b9093900492505050366060146088573661019a5734\
         61019a575f5260205ff35b341061019a5760015460010160015560035480600402600401338155600101\
         5f358155600101602035815560010160403590553360601b5f5260605f60143760745fa0600101600355\
         005b6003546002548082038060021160e7575060025b5f5b818114610129578281016004026004018160\
         7402815460601b8152601401816001015481526020018160020154815260200190600301549052600101\
         60e9565b910180921461013b5790600255610146565b90505f6002555f6003555b5f54807fffffffffff\
         ffffffffffffffffffffffffffffffffffffffffffffffffffffff141561017357505f5b600154600182\
         8201116101885750505f61018e565b01600190035b5f555f6001556074025ff35b5f5ffd",
    ),
];

/// Accounts of the EVM genesis.
pub type Alloc = BTreeMap<Address, GenesisAccount>;

/// What every node of the rollup must agree on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The Conclave network that orders the rollup.
    pub network: NetworkId,
    /// The rollup there, and its EIP-155 chain id.
    pub rollup: RollupId,
    /// Length of an EVM slot in seconds.
    pub period: NonZeroU64,
    /// Gas of one EVM block.
    pub gas_limit: u64,
    /// Accounts that exist from the start, besides the system contracts.
    pub alloc: Alloc,
}

/// Why an EVM genesis cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The alloc file is no alloc.
    #[error("the genesis accounts are not a map of addresses to {{balance, nonce, code, storage}}")]
    Alloc(#[source] serde_json::Error),
    /// The genesis does not hold together.
    #[error("the EVM genesis cannot be built")]
    Build(#[source] serde_json::Error),
}

/// The dev accounts, funded.
///
/// # Errors
///
/// Never: the table is well-formed, as a test shows.
pub fn dev_alloc() -> Result<Alloc, GenesisError> {
    let wei = U256::from(DEV_BALANCE_ETHER) * U256::exp10(18);
    let entry = |address: &str| (address.to_owned(), json!({"balance": format!("{wei:#x}")}));
    let accounts = DEV_ACCOUNTS.iter().map(|address| entry(address));
    serde_json::from_value(accounts.collect()).map_err(GenesisError::Alloc)
}

/// Reads accounts from JSON: an alloc map, or a whole `genesis.json` with an `alloc` in it.
///
/// # Errors
///
/// [`GenesisError::Alloc`] if it is neither, or something stands in it twice.
pub fn parse_alloc(text: &str) -> Result<Alloc, GenesisError> {
    let value = json::unambiguous(text.as_bytes()).map_err(GenesisError::Alloc)?;
    let alloc = value.get("alloc").cloned().unwrap_or(value);
    check_addresses(&alloc).map_err(GenesisError::Alloc)?;
    serde_json::from_value(alloc).map_err(GenesisError::Alloc)
}

/// No address stands twice, however it is written.
fn check_addresses(alloc: &Value) -> serde_json::Result<()> {
    let mut known = BTreeSet::new();
    for name in alloc.as_object().into_iter().flat_map(|accounts| accounts.keys()) {
        let digits = name.strip_prefix("0x").unwrap_or(name);
        if !known.insert(digits.to_ascii_lowercase()) {
            return Err(serde_json::Error::custom(format_args!("account {name} stands twice")));
        }
    }
    Ok(())
}

/// A genesis with every fork up to Osaka from the first block on, the system contracts, and `alloc`.
///
/// # Errors
///
/// [`GenesisError`] if the accounts are malformed.
pub(crate) fn osaka(chain_id: u64, gas_limit: u64, alloc: &Alloc) -> Result<Genesis, GenesisError> {
    let system = SYSTEM_CONTRACTS.iter().map(|(address, code)| {
        let code = format!("0x{code}");
        ((*address).to_owned(), json!({"balance": "0x0", "nonce": "0x1", "code": code}))
    });
    let system: Alloc = serde_json::from_value(system.collect()).map_err(GenesisError::Build)?;
    let mut genesis: Genesis = serde_json::from_value(json!({
        "config": {
            "chainId": chain_id,
            "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
            "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "mergeNetsplitBlock": 0,
            "terminalTotalDifficulty": "0x0", "terminalTotalDifficultyPassed": true,
            "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0,
            "depositContractAddress": "0x00000000219ab540356cbb839cbe05303d7705fa",
        },
        "alloc": {},
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": format!("{gas_limit:#x}"),
        "difficulty": "0x0",
        "mixHash": H256::zero(),
        "coinbase": Address::zero(),
        "baseFeePerGas": "0x3b9aca00",
    }))
    .map_err(GenesisError::Build)?;
    genesis.alloc.extend(alloc.clone());
    genesis.alloc.extend(system);
    Ok(genesis)
}

/// Accounts as one line, for a description of rules.
pub(crate) fn describe(alloc: &Alloc) -> String {
    let accounts = serde_json::to_vec(alloc).unwrap_or_default();
    let digest = ethrex_crypto::keccak::keccak_hash(accounts);
    format!("accounts = {} ({})\n", alloc.len(), hex::encode(digest))
}

impl Rules {
    /// The EVM genesis.
    ///
    /// # Errors
    ///
    /// [`GenesisError`] if the accounts are malformed.
    pub fn genesis(&self) -> Result<Genesis, GenesisError> {
        let mut genesis = osaka(self.rollup.as_u64(), self.gas_limit, &self.alloc)?;
        genesis.extra_data = self.network.as_bytes().to_vec().into();
        genesis.mix_hash = H256::from_low_u64_be(self.period.get());
        Ok(genesis)
    }

    /// The rules as text, one field a line, to be kept beside the data and compared with.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "network = {}\nchain-id = {}\nslot-seconds = {}\ngas-limit = {}\n{}",
            self.network,
            self.rollup,
            self.period,
            self.gas_limit,
            describe(&self.alloc),
        )
    }
}

/// Network and gas limit out of what [`Rules::describe`] wrote.
#[must_use]
pub fn parse_description(text: &str) -> Option<(NetworkId, u64)> {
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    Some((field("network")?.parse().ok()?, field("gas-limit")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            network: NetworkId::new([7; 32]),
            rollup: RollupId::new(901),
            period: NonZeroU64::MIN,
            gas_limit: 30_000_000,
            alloc: dev_alloc().unwrap(),
        }
    }

    #[test]
    fn every_rule_changes_the_genesis_hash() {
        let ours = rules();
        let others = [
            Rules { network: NetworkId::new([8; 32]), ..ours.clone() },
            Rules { period: NonZeroU64::new(2).unwrap(), ..ours.clone() },
            Rules { gas_limit: 31_000_000, ..ours.clone() },
            Rules { alloc: Alloc::new(), ..rules() },
        ];
        let hash = |rules: &Rules| rules.genesis().unwrap().get_block().hash();
        for other in others {
            assert_ne!(hash(&ours), hash(&other));
            assert_ne!(ours.describe(), other.describe());
        }
    }

    #[test]
    fn network_and_gas_limit_read_back_from_the_description() {
        let rules = rules();
        let read = parse_description(&rules.describe());
        assert_eq!(read, Some((rules.network, rules.gas_limit)));
        assert_eq!(parse_description("gibberish"), None);
    }

    #[test]
    fn dev_accounts_are_funded_and_system_contracts_have_code() {
        let genesis = rules().genesis().unwrap();
        assert_eq!(genesis.alloc.len(), DEV_ACCOUNTS.len() + SYSTEM_CONTRACTS.len());
        for address in DEV_ACCOUNTS {
            let balance = genesis.alloc[&address.parse().unwrap()].balance;
            assert_eq!(balance, U256::from(10_000) * U256::exp10(18));
        }
    }

    #[test]
    fn an_alloc_file_may_be_a_whole_genesis() {
        let alloc = r#"{"0x00000000000000000000000000000000000000aa": {"balance": "0x1"}}"#;
        let plain = parse_alloc(alloc).unwrap();
        assert_eq!(plain, parse_alloc(&format!(r#"{{"alloc": {alloc}}}"#)).unwrap());
        assert!(matches!(parse_alloc("[1]"), Err(GenesisError::Alloc(_))));
    }

    #[test]
    fn an_account_that_stands_twice_is_refused_however_it_is_written() {
        let address = "00000000000000000000000000000000000000ab";
        for (other, said) in [
            (format!("0x{address}"), "duplicate field"),
            (format!("0x{}", address.to_uppercase()), "stands twice"),
            (address.to_owned(), "stands twice"),
        ] {
            let text = format!(
                r#"{{"0x{address}": {{"balance": "0x1"}}, "{other}": {{"balance": "0x2"}}}}"#
            );
            for text in [format!(r#"{{"alloc": {text}}}"#), text] {
                let Err(GenesisError::Alloc(error)) = parse_alloc(&text) else { panic!("{text}") };
                assert!(error.to_string().contains(said), "{text}: {error}");
            }
        }
    }
}
