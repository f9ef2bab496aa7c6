//! `conclave submit`: seals transactions on this machine and hands them in.

use std::{path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use conclave_client::{Admission, BundleStatus, Client, Level, Payer, Submission, Terms, Wallet};
use conclave_types::{Gwei, HeightDelta, Leg, NetworkId, RollupId};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{note, print};

/// Seal raw transactions and submit them as one bundle: all of its legs in one block, or none.
///
/// The transactions are sealed here and signed for by the payer; the validators learn payer, fee and
/// size, and nothing else before the order is decided. Exits with 0 only if the wanted level was
/// reached and the bundle opened.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  A raw signed transaction for rollup 901, paid for by the key in payer.key:
    conclave submit --node http://127.0.0.1:26601 --payer-key payer.key --leg 901:0x02f86b…

  Two legs in one block, the key from the environment, waiting for the decision only:
    CONCLAVE_PAYER_KEY=0x… conclave submit --node http://127.0.0.1:26601 \\
        --leg 901:0x02f8… --leg 902:0x02f8… --wait ordered --json

  A transaction made by cast:
    conclave submit --node http://127.0.0.1:26601 --payer-key payer.key \\
        --leg 901:$(cast mktx --rpc-url http://127.0.0.1:8545 --private-key … 0x… --value 1ether)")]
pub(crate) struct Arguments {
    /// gRPC address of a validator; repeat it for others to fall back on.
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<String>,
    /// Refuse every network but this one.
    #[arg(long, value_name = "ID")]
    network: Option<NetworkId>,
    /// File with the payer's secp256k1 key in hexadecimal; CONCLAVE_PAYER_KEY if absent.
    #[arg(long, value_name = "FILE")]
    payer_key: Option<PathBuf>,
    /// The payer's key itself; only from the environment, so that no process list shows it.
    #[arg(
        long = "payer-key-from-environment",
        env = "CONCLAVE_PAYER_KEY",
        hide = true,
        hide_env_values = true
    )]
    key: Option<String>,
    /// A rollup and a raw signed transaction for it; repeat for a bundle across rollups.
    #[arg(long = "leg", value_name = "ROLLUP:0xHEX", required = true)]
    legs: Vec<LegArgument>,
    /// Order bundles behind those of this lane; any free lane if absent.
    #[arg(long)]
    lane: Option<u64>,
    /// The most that may be charged, in gwei; twice the present fee if absent.
    #[arg(long, value_name = "GWEI")]
    max_fee: Option<u64>,
    /// Paid on top for a better chance of inclusion, in gwei; it buys no position.
    #[arg(long, value_name = "GWEI", default_value_t = 0)]
    priority_fee: u64,
    /// For how many heights it may be included.
    #[arg(long, value_name = "HEIGHTS", default_value_t = 1_000)]
    valid_for: u64,
    /// The level to wait for: received, ordered, revealed, certified, settled or final.
    #[arg(long, value_name = "LEVEL", default_value = "revealed")]
    wait: Level,
    /// Give up waiting after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct LegArgument(Leg);

impl FromStr for LegArgument {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (rollup, transaction) =
            text.split_once(':').ok_or_else(|| anyhow!("expected ROLLUP:0xHEX"))?;
        let rollup = RollupId::new(rollup.parse().context("the rollup is a number")?);
        let digits = transaction.strip_prefix("0x").unwrap_or(transaction);
        let transaction = hex::decode(digits).context("the transaction is hexadecimal")?;
        if transaction.is_empty() {
            bail!("the transaction is empty");
        }
        Ok(Self(Leg { rollup, transaction }))
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(Box::pin(submit(arguments)))
}

async fn submit(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let payer = payer(&arguments)?;
    let mut builder = Client::builder();
    for node in &arguments.nodes {
        builder = builder.endpoint(node);
    }
    if let Some(network) = arguments.network {
        builder = builder.pin(network);
    }
    let client = builder.connect().await?;
    let legs: Vec<_> = arguments.legs.iter().map(|leg| leg.0.clone()).collect();
    let terms = Terms {
        lane: arguments.lane,
        max_fee: arguments.max_fee.map(Gwei::new),
        priority_fee: Gwei::new(arguments.priority_fee),
        valid_for: HeightDelta::new(arguments.valid_for),
        any_rollup: false,
    };
    let started = Instant::now();
    let wallet = client.wallet(payer);
    let submission = wallet.submit(&legs, &terms).await?;
    let mut levels = vec![receipt(&submission, started)];
    if !arguments.json {
        tell_submission(&submission, started)?;
    }
    let followed = tokio::time::timeout(
        Duration::from_secs(arguments.timeout),
        follow(&wallet, &submission, &arguments, started, &mut levels),
    );
    let (status, problem) = match followed.await {
        Ok(Ok(status)) => (status, None),
        Ok(Err(error)) => (None, Some(format!("{error:#}"))),
        Err(_) => (None, Some(format!("not {} after {} s", arguments.wait, arguments.timeout))),
    };
    let undecryptable = status
        .as_ref()
        .and_then(|status| status.progress.opened())
        .and_then(|opened| opened.legs.as_ref().err().cloned());
    let id = status.as_ref().map_or(submission.id, |status| status.id);
    if arguments.json {
        let first = (id != submission.id).then_some(submission.id);
        print(json!({
            "bundle_id": id,
            "sealed_before_as": first,
            "levels": levels,
            "undecryptable": undecryptable,
            "error": problem,
        }))?;
    }
    if let Some(problem) = &problem {
        note(format!("error: {problem}; the bundle may still be included, its id is {id}"))?;
    }
    let is_success = problem.is_none() && undecryptable.is_none();
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn payer(arguments: &Arguments) -> anyhow::Result<Payer> {
    let text = match (&arguments.payer_key, &arguments.key) {
        (Some(path), _) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the payer's key from {}", path.display()))?,
        (None, Some(key)) => key.clone(),
        (None, None) => bail!("who pays? Give --payer-key FILE, or set CONCLAVE_PAYER_KEY"),
    };
    Payer::from_hex(&text).context("the payer's key")
}

fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn receipt(submission: &Submission, started: Instant) -> Value {
    match &submission.admission {
        Admission::Received(receipt) => json!({
            "level": Level::Received,
            "after_ms": millis(started),
            "validator": receipt.validator,
            "received_micros": receipt.received_micros,
            "deadline_height": receipt.deadline,
        }),
        Admission::Known(status) => {
            json!({ "level": status.progress.level(), "after_ms": millis(started) })
        }
    }
}

fn tell_submission(submission: &Submission, started: Instant) -> anyhow::Result<()> {
    let header = &submission.bundle.header;
    print(format!("bundle    {}", submission.id))?;
    print(format!(
        "sealed    {} bytes of ciphertext, nonce {}/{}, fee at most {}, until height {}",
        header.body_bytes,
        header.nonce.lane,
        header.nonce.sequence,
        header.max_fee,
        header.valid_until
    ))?;
    match &submission.admission {
        Admission::Received(receipt) => print(format!(
            "received  after {} ms: validator {} signed that it is included by height {}",
            millis(started),
            receipt.validator,
            receipt.deadline
        )),
        Admission::Known(_) => print("received  before: the validator knows it already"),
    }
}

/// Follows the bundle to the wanted level; notes each level on the way.
async fn follow(
    wallet: &Wallet,
    submission: &Submission,
    arguments: &Arguments,
    started: Instant,
    levels: &mut Vec<Value>,
) -> anyhow::Result<Option<BundleStatus>> {
    if arguments.wait == Level::Received {
        return Ok(None);
    }
    let mut watch = wallet.watch(submission, arguments.wait);
    let mut latest = None;
    let mut id = submission.id;
    while let Some(status) = watch.next().await? {
        if status.id != id {
            id = status.id;
            if !arguments.json {
                print(format!(
                    "returned  after {} ms: the era of its key ended before a block took it, at no charge",
                    millis(started)
                ))?;
                print(format!("bundle    {id}, sealed again to the new key"))?;
            }
        }
        let Some(level) = status.progress.level().filter(|level| *level > Level::Received) else {
            continue;
        };
        levels.push(level_json(level, &status, started));
        if !arguments.json {
            print(level_line(level, &status, started))?;
        }
        latest = Some(status);
    }
    Ok(latest)
}

fn level_json(level: Level, status: &BundleStatus, started: Instant) -> Value {
    let mut json = json!({ "level": level, "after_ms": millis(started) });
    let Some(fields) = json.as_object_mut() else { return json };
    if let Some(place) = status.progress.place() {
        fields.insert("height".into(), json!(place.height));
        fields.insert("block_id".into(), json!(place.block));
        fields.insert("fee_charged_gwei".into(), json!(place.fee));
    }
    if let Some(opened) = status.progress.opened() {
        fields.insert("position".into(), json!(opened.position));
        fields.insert("draw".into(), json!(opened.draw));
    }
    json
}

fn level_line(level: Level, status: &BundleStatus, started: Instant) -> String {
    let mut line = format!("{:<9} after {} ms", level.to_string(), millis(started));
    if let Some(place) = status.progress.place() {
        line.push_str(&format!(": height {}, charged {}", place.height, place.fee));
    }
    match status.progress.opened().map(|opened| (opened.position, &opened.legs)) {
        Some((position, Ok(legs))) => {
            line.push_str(&format!(", place {position} in its block, {} leg(s)", legs.len()));
        }
        Some((_, Err(reason))) => line.push_str(&format!(", undecryptable: {reason}")),
        None => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_is_a_rollup_and_bytes() {
        let leg = "901:0x02f8".parse::<LegArgument>().unwrap().0;
        assert_eq!(leg, Leg { rollup: RollupId::new(901), transaction: vec![0x02, 0xf8] });
    }

    #[test]
    fn what_is_no_leg_says_why() {
        let table = [
            ("901", "expected ROLLUP:0xHEX"),
            ("x:0x02", "the rollup is a number"),
            ("901:0xzz", "the transaction is hexadecimal"),
            ("901:0x", "the transaction is empty"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<LegArgument>().unwrap_err().to_string(), expected);
        }
    }
}
