//! `conclave status`: asks a node where it stands.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use conclave_grpc::v1::node_service_client::NodeServiceClient;
use conclave_types::proto::v1;
use serde_json::json;

use super::print;

const PATIENCE: Duration = Duration::from_secs(5);

/// Ask nodes where they stand, over their public API.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave status --node http://127.0.0.1:26601
  conclave status --node http://127.0.0.1:26601 --node http://127.0.0.1:26611 --json")]
pub(crate) struct Arguments {
    /// The node's gRPC address; repeat for more.
    #[arg(long = "node", value_name = "URL", default_value = "http://127.0.0.1:26601")]
    nodes: Vec<String>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let answers = super::runtime()?.block_on(async {
        let mut answers = Vec::new();
        for node in &arguments.nodes {
            answers.push((node.clone(), ask(node).await));
        }
        answers
    });
    let mut code = ExitCode::SUCCESS;
    let mut array = Vec::new();
    for (node, answer) in answers {
        match answer {
            Ok(status) if arguments.json => array.push(as_json(&node, &status)),
            Ok(status) => print_table(&node, &status)?,
            Err(error) => {
                code = ExitCode::FAILURE;
                if arguments.json {
                    array.push(json!({ "node": node, "error": format!("{error:#}") }));
                } else {
                    print(format_args!("{node}  unreachable: {error:#}\n"))?;
                }
            }
        }
    }
    if arguments.json {
        print(serde_json::to_string_pretty(&array)?)?;
    }
    Ok(code)
}

async fn ask(node: &str) -> anyhow::Result<v1::GetStatusResponse> {
    let url = if node.contains("://") { node.to_owned() } else { format!("http://{node}") };
    let endpoint = tonic::transport::Endpoint::from_shared(url)
        .context("the address is no URL; write it like http://127.0.0.1:26601")?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    let channel = endpoint.connect().await.context("cannot connect")?;
    let answer = NodeServiceClient::new(channel).get_status(v1::GetStatusRequest {}).await;
    Ok(answer.context("the node does not answer")?.into_inner())
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn as_json(node: &str, status: &v1::GetStatusResponse) -> serde_json::Value {
    let peers = status.peers.iter().map(|peer| {
        json!({
            "peer_id": peer.peer_id,
            "name": peer.name,
            "connected": peer.connected,
            "bytes_sent": peer.bytes_sent,
            "bytes_received": peer.bytes_received,
        })
    });
    json!({
        "node": node,
        "network_id": hex(&status.network_id),
        "name": status.name,
        "validator": status.validator,
        "signing": status.signing,
        "not_signing_reason": status.not_signing_reason,
        "decided_height": status.decided_height,
        "revealed_height": status.revealed_height,
        "round": status.round,
        "chain_digest": hex(&status.chain_digest),
        "pool_bundles": status.pool_bundles,
        "pool_bytes": status.pool_bytes,
        "evidence_count": status.evidence_count,
        "epoch": status.epoch,
        "key_id": (!status.key_id.is_empty()).then(|| hex(&status.key_id)),
        "next_key_id": (!status.next_key_id.is_empty()).then(|| hex(&status.next_key_id)),
        "l1": status.l1.as_ref().map(l1_as_json),
        "version": status.version,
        "peers": peers.collect::<Vec<_>>(),
    })
}

fn l1_as_json(l1: &v1::L1Status) -> serde_json::Value {
    json!({
        "origin_number": l1.origin_number,
        "origin_hash": hex(&l1.origin_hash),
        "forced_cursor": l1.forced_cursor,
        "followed": l1.followed,
        "observed_number": l1.observed_number,
        "final_number": l1.final_number,
        "alarm": l1.alarm,
        "trouble": l1.trouble,
        "settled_height": l1.settled_height,
        "final_height": l1.final_height,
        "relay_capped": l1.relay_capped,
        "reports_waiting": l1.reports_waiting,
        "report_trouble": l1.report_trouble,
    })
}

/// One line for people.
fn l1_as_text(l1: &v1::L1Status) -> String {
    let chain =
        format!("chain at {}, {} queue entries carried", l1.origin_number, l1.forced_cursor);
    if !l1.followed {
        return format!("{chain}; not followed by this node");
    }
    let seen = format!("{chain}; seen {}, final {}", l1.observed_number, l1.final_number);
    match (l1.trouble.as_str(), l1.alarm) {
        ("", _) => seen,
        (trouble, true) => format!("{seen}; ALARM: {trouble}"),
        (trouble, false) => format!("{seen}; {trouble}"),
    }
}

fn settled_as_text(l1: &v1::L1Status) -> String {
    let heights = format!("{}, final {}", l1.settled_height, l1.final_height);
    match (l1.followed, l1.relay_capped) {
        (false, _) => "not followed by this node".to_owned(),
        (true, false) => heights,
        (true, true) => {
            format!("{heights}; ALARM: a posting is due that this node may not pay for")
        }
    }
}

/// What was seen since the start, and what is to come of it on L1.
fn evidence_as_text(status: &v1::GetStatusResponse) -> String {
    let seen = status.evidence_count;
    let Some(l1) = status.l1.as_ref().filter(|l1| l1.reports_waiting > 0) else {
        return seen.to_string();
    };
    let waiting =
        format!("{seen}; to be reported to L1, by validator and epoch: {}", l1.reports_waiting);
    match l1.report_trouble.as_str() {
        "" => waiting,
        trouble => format!("{waiting}; {trouble}"),
    }
}

fn print_table(node: &str, status: &v1::GetStatusResponse) -> anyhow::Result<()> {
    let signing = if status.signing {
        "yes".to_owned()
    } else {
        format!("no: {}", status.not_signing_reason)
    };
    print(format_args!("{node}  {}", status.name))?;
    print(format_args!("  network       {}", hex(&status.network_id)))?;
    print(format_args!("  signing       {signing}"))?;
    print(format_args!("  decided       {} (round {})", status.decided_height, status.round))?;
    print(format_args!("  revealed      {}", status.revealed_height))?;
    print(format_args!("  chain digest  {}", hex(&status.chain_digest)))?;
    print(format_args!(
        "  pool          {} bundles, {} bytes",
        status.pool_bundles, status.pool_bytes
    ))?;
    let key = match status.key_id.as_slice() {
        [] => "none yet: validators are making it".to_owned(),
        key => hex(key),
    };
    print(format_args!("  epoch         {}, key {key}", status.epoch))?;
    if !status.next_key_id.is_empty() {
        print(format_args!("  next era      key {}", hex(&status.next_key_id)))?;
    }
    if let Some(l1) = &status.l1 {
        print(format_args!("  L1            {}", l1_as_text(l1)))?;
        print(format_args!("  settled       {}", settled_as_text(l1)))?;
    }
    print(format_args!("  evidence      {}", evidence_as_text(status)))?;
    print(format_args!("  version       {}", status.version))?;
    print(format_args!("  {:<16} {:<10} {:>14} {:>14}", "peer", "connected", "sent", "received"))?;
    for peer in &status.peers {
        let name = if peer.name.is_empty() { "(others)" } else { &peer.name };
        let connected = if peer.connected { "yes" } else { "no" };
        print(format_args!(
            "  {name:<16} {connected:<10} {:>14} {:>14}",
            peer.bytes_sent, peer.bytes_received
        ))?;
    }
    print("")
}
