//! What all commands that talk to Ethereum have in common: where it is, who pays, and how what was done is told.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use alloy::{
    primitives::{Address, U256, utils::format_ether, utils::parse_ether},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context as _, bail};
use conclave_node::{
    keys,
    l1::{Contracts, Endpoints, Fees, Patience, Sender, Sent},
};
use conclave_types::Genesis;
use serde_json::{Map, Value, json};

use super::print;

/// Where Ethereum is.
#[derive(Debug, clap::Args)]
pub(crate) struct EndpointArguments {
    /// JSON-RPC of an L1 node, http://HOST:PORT; repeat it for others to fall back on and to compare with.
    #[arg(long = "l1", value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which network's contracts.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ContractArguments {
    /// The network's ConclaveStake contract; it knows the others.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<Address>,
    /// The network's genesis, which names chain and contract.
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
}

/// Who pays, and how much.
#[derive(Debug, clap::Args)]
pub(crate) struct AccountArguments {
    /// File with the account's secp256k1 key in hexadecimal, readable by you only (mode 0600).
    #[arg(long, value_name = "FILE")]
    account_key: PathBuf,
    /// The most that one transaction may cost in fees, in ether. Fees are raised up to that while it waits.
    #[arg(long, value_name = "ETHER", default_value = "0.05", value_parser = parse_wei)]
    max_cost: U256,
    /// Wait until what was done is final on L1.
    #[arg(long)]
    wait_final: bool,
    /// Give up waiting for a block after this many seconds, for finality after six times as many.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

/// Where, in which network, and from which account.
#[derive(Debug, clap::Args)]
pub(crate) struct Operation {
    #[command(flatten)]
    pub(crate) at: EndpointArguments,
    #[command(flatten)]
    pub(crate) of: ContractArguments,
    #[command(flatten)]
    pub(crate) account: AccountArguments,
}

/// An account that talks to the contracts.
pub(crate) struct Session {
    pub(crate) sender: Sender,
    pub(crate) contracts: Contracts,
}

fn parse_wei(text: &str) -> Result<U256, String> {
    parse_ether(text).map_err(|error| format!("{text:?} is no amount of ether: {error}"))
}

/// An amount of ether on the command line, in gwei.
pub(crate) fn parse_gwei(text: &str) -> Result<u64, String> {
    let (gwei, rest) = parse_wei(text)?.div_rem(U256::from(1_000_000_000_u64));
    if rest != U256::ZERO {
        return Err(format!("{text:?} has more than nine decimals"));
    }
    u64::try_from(gwei).map_err(|_error| format!("{text:?} is more ether than there is"))
}

/// Gwei as ether, for people.
pub(crate) fn ether(gwei: u64) -> String {
    let wei = U256::from(gwei).saturating_mul(U256::from(1_000_000_000_u64));
    let text = format_ether(wei);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} ether")
}

impl EndpointArguments {
    pub(crate) async fn connect(
        &self,
        chain_id: Option<u64>,
        patience: Patience,
    ) -> anyhow::Result<Endpoints> {
        Ok(Endpoints::connect(&self.urls, chain_id, patience).await?)
    }
}

impl ContractArguments {
    /// Those of the network of a genesis.
    pub(crate) const fn of_genesis(genesis: PathBuf) -> Self {
        Self { contract: None, genesis: Some(genesis) }
    }

    /// Chain, if the genesis says it, and stake contract.
    fn network(&self) -> anyhow::Result<(Option<u64>, Address)> {
        if let Some(contract) = self.contract {
            return Ok((None, contract));
        }
        let genesis = self.read_genesis()?;
        if genesis.l1_chain_id == 0 {
            bail!("this network has no L1: its genesis was made without --l1-contract");
        }
        Ok((Some(genesis.l1_chain_id), Address::from(*genesis.l1_contract.as_bytes())))
    }

    pub(crate) fn read_genesis(&self) -> anyhow::Result<Genesis> {
        let path = self.genesis.as_ref().context("give --genesis FILE")?;
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no genesis", path.display()))
    }

    /// Connects, and finds the contracts.
    pub(crate) async fn find(
        &self,
        at: &EndpointArguments,
        patience: Patience,
    ) -> anyhow::Result<(Endpoints, Contracts)> {
        let (chain_id, stake) = self.network()?;
        let endpoints = at.connect(chain_id, patience).await?;
        let contracts = Contracts::find(&endpoints, stake).await?;
        Ok((endpoints, contracts))
    }
}

impl AccountArguments {
    pub(crate) fn patience(&self) -> Patience {
        let inclusion = Duration::from_secs(self.timeout);
        Patience { inclusion, finality: inclusion.saturating_mul(6), ..Patience::default() }
    }

    pub(crate) fn sender(&self, endpoints: Endpoints) -> anyhow::Result<Sender> {
        let key = keys::read(&self.account_key)?;
        let signer = PrivateKeySigner::from_slice(&*key)
            .with_context(|| format!("{} holds no secp256k1 key", self.account_key.display()))?;
        let fees = Fees { cost_max: self.max_cost, ..Fees::default() };
        Ok(Sender::new(endpoints, signer, fees))
    }
}

impl Session {
    pub(crate) async fn open(on: &Operation) -> anyhow::Result<Self> {
        let Operation { at, of, account } = on;
        let (endpoints, contracts) = of.find(at, account.patience()).await?;
        Ok(Self { sender: account.sender(endpoints)?, contracts })
    }

    /// [`Done::tell`], as the operation says.
    pub(crate) async fn tell(&self, done: Done, on: &Operation) -> anyhow::Result<ExitCode> {
        done.tell(&self.sender, &on.account, on.at.json).await
    }
}

/// What a command did: its transactions, and what they changed.
#[derive(Debug, Default)]
pub(crate) struct Done {
    sent: Vec<(&'static str, Sent)>,
    effects: Vec<(&'static str, Value)>,
}

impl Done {
    /// Adds a transaction under a word for what it is.
    pub(crate) fn sent(mut self, what: &'static str, sent: Sent) -> Self {
        self.add_sent(what, sent);
        self
    }

    /// Adds something that changed.
    pub(crate) fn effect(mut self, what: &'static str, value: impl Into<Value>) -> Self {
        self.add(what, value);
        self
    }

    /// [`Done::effect`], in place.
    pub(crate) fn add(&mut self, what: &'static str, value: impl Into<Value>) {
        self.effects.push((what, value.into()));
    }

    /// [`Done::sent`], in place.
    pub(crate) fn add_sent(&mut self, what: &'static str, sent: Sent) {
        self.sent.push((what, sent));
    }

    /// Waits for finality if that is wanted, and tells it all.
    pub(crate) async fn tell(
        self,
        sender: &Sender,
        account: &AccountArguments,
        json: bool,
    ) -> anyhow::Result<ExitCode> {
        let mut transactions = Vec::new();
        for (what, mut sent) in self.sent {
            if account.wait_final {
                sent = wait_final(sender, &sent).await?;
            }
            if !json {
                let is_final = if account.wait_final { ", final" } else { "" };
                print(format_args!(
                    "{what:<17} transaction {} in block {}{is_final}, {} gas, {} ether in fees",
                    sent.hash(),
                    sent.block(),
                    sent.receipt.gas_used,
                    format_ether(sent.fee()),
                ))?;
            }
            transactions.push(json!({
                "what": what,
                "hash": sent.hash(),
                "block": sent.block(),
                "gas_used": sent.receipt.gas_used,
                "fee_wei": sent.fee().to_string(),
                "final": account.wait_final,
            }));
        }
        if json {
            let effects = self.effects.into_iter().map(|(what, value)| (what.to_owned(), value));
            let mut object: Map<String, Value> = effects.collect();
            object.insert("transactions".to_owned(), transactions.into());
            print(Value::Object(object))?;
            return Ok(ExitCode::SUCCESS);
        }
        for (what, value) in &self.effects {
            tell(what, value)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until a transaction is final, and says so meanwhile.
async fn wait_final(sender: &Sender, sent: &Sent) -> anyhow::Result<Sent> {
    let mut told = Ok(());
    let waited = sender.wait_final(sent, |waiting| {
        if told.is_ok() {
            told = super::note(waiting);
        }
    });
    let sent = waited.await?;
    told.map(|()| sent)
}

/// One line for one fact. Gwei are shown as ether.
pub(crate) fn tell(what: &str, value: &Value) -> anyhow::Result<()> {
    match (what.strip_suffix("_gwei"), value) {
        (Some(what), Value::Number(gwei)) => {
            print(format_args!("{:<20} {}", words(what), ether(gwei.as_u64().unwrap_or_default())))
        }
        (_, Value::String(text)) => print(format_args!("{:<20} {text}", words(what))),
        (_, value) => print(format_args!("{:<20} {value}", words(what))),
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_is_read_in_whole_gwei_and_shown_without_empty_decimals() {
        assert_eq!(parse_gwei("8"), Ok(8_000_000_000));
        assert_eq!(parse_gwei("0.000000001"), Ok(1));
        assert_eq!(
            parse_gwei("0.0000000001"),
            Err("\"0.0000000001\" has more than nine decimals".to_owned())
        );
        assert!(parse_gwei("eight").unwrap_err().contains("no amount of ether"));
        assert!(parse_gwei("99999999999999").unwrap_err().contains("more ether than there is"));
        assert_eq!(ether(8_500_000_000), "8.5 ether");
        assert_eq!(ether(10_000_000_000), "10 ether");
        assert_eq!(ether(0), "0 ether");
    }
}
