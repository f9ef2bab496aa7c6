//! Figures for Prometheus, served at `/metrics`.
//!
//! What the core knows is read from the snapshot when someone asks; what happens between two questions
//! is counted as it happens.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use conclave_grpc::doors::{Bounds, Doors};
use conclave_sequencer::L1Position;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio_util::sync::CancellationToken;

use crate::{
    driver::{Driver, Snapshot},
    essential::Essentials,
    l1::{
        L1Views,
        follow::{Sight, TroubleKind},
        relay::Settlement,
    },
    network::{Network, PeerTraffic},
};

/// Collectors and people who look: a handful. A page is a request of milliseconds.
const BOUNDS: Bounds = Bounds { connections_max: 64, idle_max: Duration::from_secs(60) };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabel {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    peer: String,
}

type Number = Gauge<u64, AtomicU64>;

/// Why the metrics cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address cannot be listened on.
    #[error("cannot listen on metrics.listen = {address}; choose a free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// All figures of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    height: Number,
    revealed_height: Number,
    round: Number,
    signing: Number,
    pool_bundles: Number,
    pool_bytes: Number,
    evidence: Number,
    latency: Family<LevelLabel, Histogram>,
    job: Family<KindLabel, Histogram>,
    persist: Histogram,
    peer_bytes: Family<PeerLabel, Number>,
    peer_dropped: Family<NameLabel, Number>,
    peer_connected: Family<NameLabel, Number>,
    requests: Family<KindLabel, Counter>,
    l1: L1Figures,
}

/// What a node sees of L1, and what the chain has.
#[derive(Debug, Default)]
struct L1Figures {
    origin: Number,
    forced_cursor: Number,
    observed: Number,
    newest_final: Number,
    lag: Number,
    trouble: Family<KindLabel, Number>,
    errors: Family<KindLabel, Counter>,
    settled: Number,
    settled_final: Number,
    capped: Number,
    postings: Counter,
    reports: Counter,
    accused: Number,
}

impl L1Figures {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "l1_origin",
            "L1 block up to which the chain has seen L1",
            self.origin.clone(),
        );
        registry.register(
            "l1_forced_cursor",
            "Entries of the queue on L1 up to there, all of them carried",
            self.forced_cursor.clone(),
        );
        registry.register(
            "l1_observed",
            "Newest final L1 block that this node has seen",
            self.observed.clone(),
        );
        registry.register(
            "l1_final",
            "Newest L1 block that most of its endpoints call final",
            self.newest_final.clone(),
        );
        registry.register(
            "l1_lag",
            "Final L1 blocks, as endpoints or the chain have it, that this node has not seen yet",
            self.lag.clone(),
        );
        registry.register(
            "l1_trouble",
            "1 while L1 cannot be followed, or not by all endpoints, for this reason; anything but an outage is an alarm",
            self.trouble.clone(),
        );
        registry.register(
            "l1_errors",
            "Failed attempts to follow L1, and to settle",
            self.errors.clone(),
        );
        registry.register("settled_height", "Newest height that has settled", self.settled.clone());
        registry.register(
            "final_height",
            "Newest height that has settled in a final L1 block",
            self.settled_final.clone(),
        );
        registry.register(
            "relay_capped",
            "1 while a posting is due that this node may not pay for: an alarm",
            self.capped.clone(),
        );
        registry.register("relay_postings", "Postings of this node", self.postings.clone());
        registry.register("reports", "Offenders whom this node has reported", self.reports.clone());
        registry.register(
            "reports_waiting",
            "Validators whom there is evidence against, and whom nobody has reported yet",
            self.accused.clone(),
        );
    }

    fn set_settlement(&self, settlement: &Settlement) {
        self.settled.set(settlement.settled);
        self.settled_final.set(settlement.final_height);
        self.capped.set(u64::from(settlement.capped));
        self.accused.set(settlement.accused);
    }

    fn set(&self, position: &L1Position, sight: &Sight) {
        self.origin.set(position.origin.number);
        self.forced_cursor.set(position.forced_cursor);
        self.observed.set(position.observed.number);
        self.newest_final.set(sight.newest_final);
        let known = sight.newest_final.max(position.origin.number);
        self.lag.set(known.saturating_sub(position.observed.number));
        for kind in TroubleKind::ALL {
            let is_now = sight.trouble.as_ref().is_some_and(|trouble| trouble.kind == kind);
            let label = KindLabel { kind: kind.name() };
            self.trouble.get_or_create(&label).set(u64::from(is_now));
        }
    }
}

impl Metrics {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        // 1 ms to 8 s, and 50 µs to 6 s.
        let levels = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let work = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        let metrics = Self {
            registry: Registry::with_prefix("conclave"),
            height: Number::default(),
            revealed_height: Number::default(),
            round: Number::default(),
            signing: Number::default(),
            pool_bundles: Number::default(),
            pool_bytes: Number::default(),
            evidence: Number::default(),
            latency: Family::new_with_constructor(levels),
            job: Family::new_with_constructor(work),
            persist: work(),
            peer_bytes: Family::default(),
            peer_dropped: Family::default(),
            peer_connected: Family::default(),
            requests: Family::default(),
            l1: L1Figures::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("height", "Newest decided height", self.height.clone());
        registry.register(
            "revealed_height",
            "Newest revealed height",
            self.revealed_height.clone(),
        );
        registry.register("round", "Current consensus round", self.round.clone());
        registry.register("signing", "1 while this node signs", self.signing.clone());
        registry.register("pool_bundles", "Bundles in the pool", self.pool_bundles.clone());
        registry.register_with_unit(
            "pool",
            "Size of the bundles in the pool",
            Unit::Bytes,
            self.pool_bytes.clone(),
        );
        registry.register("evidence", "Equivocations seen since the start", self.evidence.clone());
        registry.register_with_unit(
            "latency",
            "Time from a bundle's admission on this node to each level",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register_with_unit(
            "job",
            "Time of one CPU job: verify admissions, share, open (combine, check, decrypt)",
            Unit::Seconds,
            self.job.clone(),
        );
        registry.register_with_unit(
            "persist",
            "Time to make one turn durable",
            Unit::Seconds,
            self.persist.clone(),
        );
        registry.register("peer_bytes", "Bytes exchanged with each peer", self.peer_bytes.clone());
        registry.register(
            "peer_frames_dropped",
            "Frames dropped because a peer did not read them",
            self.peer_dropped.clone(),
        );
        registry.register(
            "peer_connected",
            "1 while a peer can be reached",
            self.peer_connected.clone(),
        );
        registry.register("grpc_requests", "Calls of the public API", self.requests.clone());
        self.l1.register(registry);
        self
    }

    /// A bundle was ordered this long after its admission.
    pub fn ordered(&self, latency: Duration) {
        self.latency.get_or_create(&LevelLabel { level: "ordered" }).observe(latency.as_secs_f64());
    }

    /// A bundle was revealed this long after its admission.
    pub fn revealed(&self, latency: Duration) {
        let level = LevelLabel { level: "revealed" };
        self.latency.get_or_create(&level).observe(latency.as_secs_f64());
    }

    /// A job of this kind took this long.
    pub fn job(&self, kind: &'static str, time: Duration) {
        self.job.get_or_create(&KindLabel { kind }).observe(time.as_secs_f64());
    }

    /// A turn was made durable in this time.
    pub fn persisted(&self, time: Duration) {
        self.persist.observe(time.as_secs_f64());
    }

    /// A call of the public API.
    pub fn request(&self, kind: &'static str) {
        self.requests.get_or_create(&KindLabel { kind }).inc();
    }

    /// An attempt to follow L1 failed.
    pub fn l1_trouble(&self, kind: &'static str) {
        self.l1.errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// A posting of this node is in a block of L1.
    pub fn posted(&self) {
        self.l1.postings.inc();
    }

    /// L1 has taken a report of this node.
    pub fn reported(&self) {
        self.l1.reports.inc();
    }

    /// Everything, in the OpenMetrics text format. A node that follows no L1 has no sight of it.
    #[must_use]
    pub fn encode(
        &self,
        snapshot: &Snapshot,
        traffic: &[PeerTraffic],
        l1: Option<&(Sight, Settlement)>,
    ) -> String {
        let status = &snapshot.status;
        self.height.set(status.decided.as_u64());
        self.revealed_height.set(status.revealed.as_u64());
        self.round.set(u64::from(status.round.as_u32()));
        self.signing.set(u64::from(status.not_signing.is_none()));
        self.pool_bundles.set(status.pool.bundles as u64);
        self.pool_bytes.set(status.pool.bytes as u64);
        self.evidence.set(status.evidence_count);
        let (sight, settlement) = l1.cloned().unwrap_or_default();
        self.l1.set(&snapshot.l1, &sight);
        self.l1.set_settlement(&settlement);
        for row in traffic {
            let peer = if row.name.is_empty() { "others".to_owned() } else { row.name.clone() };
            let bytes = |direction| PeerLabel { peer: peer.clone(), direction };
            self.peer_bytes.get_or_create(&bytes("sent")).set(row.bytes_sent);
            self.peer_bytes.get_or_create(&bytes("received")).set(row.bytes_received);
            let name = NameLabel { peer };
            self.peer_dropped.get_or_create(&name).set(row.frames_dropped);
            self.peer_connected.get_or_create(&name).set(u64::from(row.connected));
        }
        let mut page = String::new();
        if let Err(error) = text::encode(&mut page, &self.registry) {
            tracing::error!(%error, "cannot encode the metrics");
        }
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What the page is made of.
#[derive(Clone)]
pub struct Page {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Where the node stands.
    pub driver: Driver,
    /// Whom it talks to.
    pub network: Network,
    /// What it sees of L1, if it follows one.
    pub l1: Option<L1Views>,
}

/// Serves `/metrics` until `stop`; returns the address that it really listens on.
///
/// # Errors
///
/// If the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    page: Page,
    essentials: &Essentials,
    stop: CancellationToken,
) -> Result<SocketAddr, MetricsError> {
    let refused = |source| MetricsError::Listen { address, source };
    let doors = Doors::open(address, BOUNDS).await.map_err(refused)?;
    let bound = doors.address().map_err(refused)?;
    let router = Router::new().route("/metrics", get(show)).with_state(page);
    let server = axum::serve(doors, router).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(essentials.clone().watch("metrics server", server.into_future()));
    Ok(bound)
}

async fn show(State(page): State<Page>) -> impl IntoResponse {
    let l1 = page.l1.as_ref().map(L1Views::now);
    let (snapshot, traffic) = (page.driver.snapshot(), page.network.traffic());
    let text = page.metrics.encode(&snapshot, &traffic, l1.as_ref());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
