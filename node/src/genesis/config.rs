//! The configuration of a new validator, with a comment for every key.

use libp2p::{Multiaddr, PeerId};

use super::{PORTS_EACH, Plan};
use crate::config::{L1Config, RelayConfig};

pub(super) fn port(plan: &Plan, index: u16, offset: u16) -> u16 {
    if plan.base_port == 0 {
        return 0;
    }
    // `make` has checked that the last one fits.
    plan.base_port.saturating_add(index.saturating_mul(PORTS_EACH)).saturating_add(offset)
}

pub(super) fn address(plan: &Plan, index: u16, peer: PeerId) -> Multiaddr {
    Multiaddr::empty()
        .with(libp2p::multiaddr::Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST))
        .with(libp2p::multiaddr::Protocol::Tcp(port(plan, index, 0)))
        .with(libp2p::multiaddr::Protocol::P2p(peer))
}

pub(super) fn text(plan: &Plan, index: u16, peers: &[Multiaddr]) -> String {
    let others = (0_u16..).zip(peers).filter(|(other, _)| *other != index && plan.base_port != 0);
    let peers: String = others.map(|(_, address)| format!("\n  \"{address}\",")).collect();
    let peers_file = if plan.base_port == 0 {
        "peers_file = \"../peers.json\""
    } else {
        "# peers_file = \"../peers.json\""
    };
    let (p2p, grpc, metrics) = (port(plan, index, 0), port(plan, index, 1), port(plan, index, 2));
    format!(
        r#"# Conclave validator {index} of "{name}". Paths are relative to this file.
# Unknown keys are refused, so a misspelt one cannot be overlooked.

# Database, signer state and the addresses in use. Never run two nodes with the same keys, and never copy
# or restore data/signer.state: an older one makes this validator sign twice, which costs its stake. If it
# is lost, see `conclave node --help` on --lost-state.
data_dir = "data"
# The same file for every node of the network.
genesis = "../genesis.json"

# 32 bytes of hexadecimal each, mode 0600. A full node has a network key only. `consensus` signs votes,
# `settlement` signs commitments for L1: never run either on two machines. `storage` encrypts this
# validator's shares of the threshold key in data/secrets: keep the two apart in backups.
[keys]
network = "network.key"
consensus = "consensus.key"
settlement = "settlement.key"
storage = "storage.key"

# Where other nodes connect. Port 0 takes any free port; see data/addresses.json for the one in use.
[p2p]
listen = "/ip4/127.0.0.1/tcp/{p2p}"
# Whom to keep connected to: every other validator, with its peer id.
peers = [{peers}
]
# A JSON array of such addresses, read again before each attempt: for ports not known in advance.
{peers_file}
# Nodes that are no validators, at most.
full_peers_max = 16

# The public API. It has no authentication of its own: keep it on loopback, or behind a proxy.
[grpc]
listen = "127.0.0.1:{grpc}"
# Streams of blocks and of bundles' fates that may be open at once.
streams_max = 1024
# Streams of batches that may be open at once: one for each node of a rollup. Each may hold some MiB.
batch_streams_max = 64
# Origins of pages that may call from a browser, by gRPC-Web, such as "https://wallet.example"; "loopback"
# stands for any page that this machine serves. Without any, no browser is served.
web_origins = {web_origins:?}

# Prometheus, at /metrics.
[metrics]
listen = "127.0.0.1:{metrics}"

{l1}
# level: error, warn, info, debug or trace of this program, or a filter such as "conclave_node=debug,info".
[log]
level = "info"
json = false

# Threads for cryptography; 0 takes one for each core.
[jobs]
threads = 0
"#,
        name = plan.name.escape_default(),
        l1 = l1_text(plan.l1.as_ref().and_then(|l1| l1.follow.as_ref()), index),
        web_origins = plan.web_origins,
        peers = if peers.is_empty() { String::new() } else { peers },
    )
}

fn l1_text(follow: Option<&L1Config>, index: u16) -> String {
    let shown = L1Config::new(vec!["http://127.0.0.1:8545".to_owned()]);
    let L1Config { endpoints, poll_ms, .. } = follow.unwrap_or(&shown);
    let relay = follow.and_then(|follow| follow.relay.as_ref());
    let off = if follow.is_some() { "" } else { "# " };
    format!(
        r#"# How this node follows the network's L1: JSON-RPC endpoints, of your own if you can, several if you cannot.
# What most of them agree on is believed; one that contradicts the others is an alarm (docs/operators.md).
# Without this section the node sees nothing of L1: its own blocks carry no deposits and no forced transactions.
{off}[l1]
{off}endpoints = {endpoints:?}
# How often they are asked for a new final block, in milliseconds.
{off}poll_ms = {poll_ms}
{relay}"#,
        relay = relay_text(relay, index),
    )
}

fn relay_text(relay: Option<&RelayConfig>, index: u16) -> String {
    let shown = RelayConfig::new("relay.key".into());
    let RelayConfig {
        account_key,
        every_heights,
        every_seconds,
        takeover_seconds,
        day_cost_gwei_max,
        posting_cost_gwei_max,
    } = relay.unwrap_or(&shown);
    let account_key = account_key.display().to_string().replace("{index}", &index.to_string());
    let off = if relay.is_some() { "" } else { "# " };
    format!(
        r#"# How this validator takes its turns in posting what is certified: an account with ether that nothing else sends
# from, and what a posting and those of a day may cost. Without this section it leaves that to others.
{off}[l1.relay]
{off}account_key = {account_key:?}
{off}every_heights = {every_heights}
{off}every_seconds = {every_seconds}
{off}takeover_seconds = {takeover_seconds}
{off}day_cost_gwei_max = {day_cost_gwei_max}
{off}posting_cost_gwei_max = {posting_cost_gwei_max}
"#
    )
}
