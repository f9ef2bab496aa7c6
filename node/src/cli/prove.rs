//! `conclave prove`: what was ordered, shown to whoever trusts the genesis, and to a contract on Ethereum.
//!
//! ```text
//! genesis ─▶ committees ─▶ certificate ─▶ commitment ─▶ reveal root ─▶ the statement      always, here
//!                            L1: ConclaveInbox ─▶ posting ─┘  └─▶ the statement           with --l1, by an eth_call
//! ```
//!
//! A node serves both paths and is believed in nothing. Where they meet, at the commitment, they must agree.

mod told;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use alloy::primitives::Address;
use anyhow::{Context as _, anyhow, bail};
use conclave_client::{Client, ClientError, Item, Network, Run};
use conclave_node::{
    errors,
    l1::{
        Contracts, Endpoints, Patience,
        proofs::{self, Statement},
        withdrawals,
    },
};
use conclave_types::{
    BundleId, Digest, Height, NetworkId, RollupId, digest::keccak, wire::CertifiedCommitment,
};
use tonic::Code;

use self::told::{OnL1, Told};
use super::{chain::ContractArguments, note, proofs::Deadline};

/// Prove what was ordered, to yourself and to a contract on Ethereum. No node is trusted.
///
/// A node serves the proof. It is checked here against a commitment that more than two thirds of the voting power have
/// signed; who they are is followed from the genesis on. With --l1 the commitment must have settled, and ConclaveInbox
/// checks the whole by an eth_call: --calldata prints that call, which a contract of yours can make just so. It is proved
/// what was ordered, and where: not that a rollup executed it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Transaction(TransactionArguments),
    Batch(BatchArguments),
    Atomic(AtomicArguments),
    Absent(AbsentArguments),
}

/// Prove that a transaction is in a rollup's batch of a height, and which item it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave prove transaction --node http://127.0.0.1:26601 --genesis net/genesis.json \\
      --height 20 --rollup 901 --hash 0x895d5c6a…
  conclave prove transaction --node http://127.0.0.1:26601 --genesis net/genesis.json --l1 http://127.0.0.1:8545 \\
      --height 20 --rollup 901 --item 0 --timeout 600 --json
  cast call $INBOX $(conclave prove transaction --node http://127.0.0.1:26601 --network 0x9f6a… \\
      --l1 http://127.0.0.1:8545 --height 20 --rollup 901 --raw 0x02f86b… --calldata)")]
struct TransactionArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    which: WhichArguments,
    #[command(flatten)]
    from: SourceArguments,
}

/// Prove which transactions a rollup has at a height: all of them, unless there are very many.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave prove batch --node http://127.0.0.1:26601 --genesis net/genesis.json --height 20 --rollup 901
  conclave prove batch --node http://127.0.0.1:26601 --genesis net/genesis.json --l1 http://127.0.0.1:8545 \\
      --height 20 --rollup 901 --first 4096 --count 100 --json")]
struct BatchArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// The first item.
    #[arg(long, value_name = "ITEM", default_value_t = 0)]
    first: u32,
    /// How many items at most.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = Run::COUNT_MAX,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(Run::COUNT_MAX))
    )]
    count: u32,
    #[command(flatten)]
    from: SourceArguments,
}

/// Prove that all legs of a bundle are in one block, each in its rollup's batch. Of a bundle with one leg, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave prove atomic --node http://127.0.0.1:26601 --genesis net/genesis.json --bundle 0x0ea1c085…
  conclave prove atomic --node http://127.0.0.1:26601 --genesis net/genesis.json --l1 http://127.0.0.1:8545 \\
      --bundle 0x0ea1c085… --timeout 600 --calldata")]
struct AtomicArguments {
    /// The bundle, as `conclave submit` names it.
    #[arg(long, value_name = "ID")]
    bundle: BundleId,
    #[command(flatten)]
    from: SourceArguments,
}

/// Prove that a rollup has nothing at a height.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave prove absent --node http://127.0.0.1:26601 --genesis net/genesis.json --height 21 --rollup 902
  conclave prove absent --node http://127.0.0.1:26601 --genesis net/genesis.json --l1 http://127.0.0.1:8545 \\
      --height 21 --rollup 902 --json")]
struct AbsentArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    from: SourceArguments,
}

/// Where in the order.
#[derive(Clone, Copy, Debug, clap::Args)]
struct PlaceArguments {
    /// The height, as `conclave submit` and batches name it.
    #[arg(long, value_name = "HEIGHT", value_parser = parse_height)]
    height: Height,
    /// The rollup.
    #[arg(long, value_name = "ID", value_parser = parse_rollup)]
    rollup: RollupId,
}

/// Which transaction of the batch.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct WhichArguments {
    /// The one with this keccak256: for an EVM rollup, its transaction hash. The first of several that are equal.
    #[arg(long, value_name = "HASH")]
    hash: Option<Digest>,
    /// The one with these raw bytes.
    #[arg(long, value_name = "0xHEX", value_parser = parse_raw)]
    raw: Option<Digest>,
    /// The one at this place in the batch, from 0.
    #[arg(long, value_name = "ITEM")]
    item: Option<u32>,
}

/// Who is asked, and what is believed.
#[derive(Debug, clap::Args)]
struct SourceArguments {
    /// gRPC address of any node of the network; repeat it for others, which are asked if this one serves no proof.
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    trusted: TrustedArguments,
    /// JSON-RPC of an L1 node, http://HOST:PORT: have ConclaveInbox check the proof, too. Repeat it for others to fall back
    /// on.
    #[arg(long = "l1", value_name = "URL")]
    urls: Vec<String>,
    /// Wait up to this many seconds for what is too early: until the height is certified and, with --l1, has settled.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "calldata")]
    json: bool,
    /// Print the call of ConclaveInbox that checks the proof, in hexadecimal, and nothing else.
    #[arg(long, requires = "urls")]
    calldata: bool,
}

/// What everything follows from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TrustedArguments {
    /// The network's genesis.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// The network's id, which is the digest of its genesis: a node serves that, too.
    #[arg(long, value_name = "ID")]
    network: Option<NetworkId>,
}

fn parse_height(text: &str) -> Result<Height, String> {
    text.parse().map(Height::new).map_err(|error| format!("{text:?} is no height: {error}"))
}

fn parse_rollup(text: &str) -> Result<RollupId, String> {
    text.parse().map(RollupId::new).map_err(|error| format!("{text:?} is no rollup: {error}"))
}

fn parse_raw(text: &str) -> Result<Digest, String> {
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text));
    bytes.map(|bytes| keccak(&bytes)).map_err(|error| format!("expected hexadecimal: {error}"))
}

/// What is to be proved.
#[derive(Clone, Copy, Debug)]
enum Claim {
    Transaction(PlaceArguments, Item),
    Batch(PlaceArguments, Run),
    Atomic(BundleId),
    Absent(PlaceArguments),
}

impl WhichArguments {
    fn item(&self) -> anyhow::Result<Item> {
        let hash = self.hash.or(self.raw).map(Item::Hash);
        hash.or(self.item.map(Item::At)).context("give --hash, --raw or --item")
    }
}

impl TrustedArguments {
    fn id(&self) -> anyhow::Result<NetworkId> {
        match (&self.genesis, self.network) {
            (Some(path), _) => {
                Ok(ContractArguments::of_genesis(path.clone()).read_genesis()?.network_id())
            }
            (None, Some(id)) => Ok(id),
            (None, None) => bail!("give --genesis FILE or --network ID"),
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (claim, from) = match arguments.command {
        Command::Transaction(TransactionArguments { place, which, from }) => {
            (Claim::Transaction(place, which.item()?), from)
        }
        Command::Batch(BatchArguments { place, first, count, from }) => {
            (Claim::Batch(place, Run { first, count }), from)
        }
        Command::Atomic(AtomicArguments { bundle, from }) => (Claim::Atomic(bundle), from),
        Command::Absent(AbsentArguments { place, from }) => (Claim::Absent(place), from),
    };
    super::runtime()?.block_on(Box::pin(prove(&claim, &from)))
}

async fn prove(claim: &Claim, from: &SourceArguments) -> anyhow::Result<ExitCode> {
    let id = from.trusted.id()?;
    let mut refusal: Option<anyhow::Error> = None;
    for node in &from.nodes {
        if let Some(error) = refusal.take() {
            note(format!("{}; asking another node", errors::chain(&*error)))?;
        }
        match shown_by(node, id, claim, from).await {
            Ok(told) => return told.tell(from.json, from.calldata),
            Err(error) => refusal = Some(error.context(format!("node {node} proves nothing"))),
        }
    }
    Err(refusal.unwrap_or_else(|| anyhow!("give --node URL")))
}

/// What one node shows, checked.
async fn shown_by(
    node: &str,
    id: NetworkId,
    claim: &Claim,
    from: &SourceArguments,
) -> anyhow::Result<Told> {
    let client = Client::builder().endpoint(node).pin(id).connect().await?;
    let patience = Patience { finality: Duration::from_secs(from.timeout), ..Patience::default() };
    let until = Deadline::of(patience);
    let (certified, statement) = ask(&client, claim, &until).await?;
    let on_l1 = match from.urls.as_slice() {
        [] => None,
        urls => {
            let inbox = Inbox::find(urls, client.network(), patience).await?;
            Some(inbox.check(&client, &certified, &statement, &until).await?)
        }
    };
    Told::new(client.network(), certified, statement, on_l1)
}

/// Asks for a proof; the client checks it.
async fn ask(
    client: &Client,
    claim: &Claim,
    until: &Deadline,
) -> anyhow::Result<(CertifiedCommitment, Statement)> {
    let (Claim::Transaction(place, _) | Claim::Batch(place, _) | Claim::Absent(place)) = claim
    else {
        let Claim::Atomic(bundle) = claim else { bail!("there is no such claim") };
        let (certified, proof) =
            in_time(until, async || client.atomic_proof(*bundle).await).await?;
        return Ok((certified, Statement::Atomic(proof)));
    };
    let PlaceArguments { height, rollup } = *place;
    let certified = in_time(until, async || client.certified_commitment(height).await).await?;
    let commitment = &certified.commitment;
    let statement = match claim {
        Claim::Transaction(_, item) => {
            Statement::Transaction(client.transaction_proof(commitment, rollup, *item).await?)
        }
        Claim::Batch(_, run) => {
            Statement::Batch(client.batch_proof(commitment, rollup, *run).await?)
        }
        Claim::Absent(_) | Claim::Atomic(_) => {
            Statement::Absence(rollup, client.absence_proof(commitment, rollup).await?)
        }
    };
    Ok((certified, statement))
}

/// Asks again while it is too early.
async fn in_time<T>(
    until: &Deadline,
    ask: impl AsyncFn() -> Result<T, ClientError>,
) -> anyhow::Result<T> {
    loop {
        match ask().await {
            Err(error) if is_early(&error) => {
                until.wait().await.with_context(|| error.to_string())?;
            }
            asked => return Ok(asked?),
        }
    }
}

/// Whether the node is not so far, as it says.
fn is_early(error: &ClientError) -> bool {
    let ClientError::Refused(status) = error else { return false };
    matches!(status.code(), Code::NotFound | Code::FailedPrecondition)
}

/// Where the network settles.
struct Inbox {
    endpoints: Endpoints,
    contracts: Contracts,
}

impl Inbox {
    async fn find(urls: &[String], network: &Network, patience: Patience) -> anyhow::Result<Self> {
        let genesis = network.genesis();
        if genesis.l1_chain_id == 0 {
            bail!("this network has no L1: leave --l1 out");
        }
        let endpoints = Endpoints::connect(urls, Some(genesis.l1_chain_id), patience).await?;
        let stake = Address::from(*genesis.l1_contract.as_bytes());
        let contracts = Contracts::find(&endpoints, stake).await?;
        Ok(Self { endpoints, contracts })
    }

    /// Has the inbox check the statement, once its commitment has settled.
    async fn check(
        self,
        client: &Client,
        certified: &CertifiedCommitment,
        statement: &Statement,
        until: &Deadline,
    ) -> anyhow::Result<OnL1> {
        let Self { endpoints, contracts } = self;
        let commitment = &certified.commitment;
        let height = commitment.height;
        loop {
            let under =
                withdrawals::posting_to_prove_under(&endpoints, &contracts, height.as_u64())
                    .await?;
            let mut why = format!("height {height} has not settled on L1");
            if let Some(under) = under.map(Height::new) {
                why = format!(
                    "height {height} has settled, and the node cannot show it yet: it lags"
                );
                match client.history_proof(commitment, under).await {
                    Ok(history) => {
                        let calldata = statement.calldata(&history);
                        match proofs::check(&endpoints, &contracts, &calldata).await {
                            Ok(()) => {
                                let (chain_id, inbox) = (endpoints.chain_id(), contracts.inbox);
                                return Ok(OnL1 { chain_id, inbox, history, calldata });
                            }
                            Err(error) if withdrawals::is_overtaken(&error) => {
                                why = "more has settled since the proof was made".to_owned();
                            }
                            Err(error) => {
                                return Err(error).context("what it serves does not hold on L1");
                            }
                        }
                    }
                    Err(error) if is_early(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            until.wait().await.context(why)?;
        }
    }
}
