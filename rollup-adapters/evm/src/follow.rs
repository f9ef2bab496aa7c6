//! Following the ordered stream: pull, cut into slots, execute, resume.
//!
//! The rollup pulls from a sequencer node and keeps its own place: whatever fails on the way, it
//! reconnects (to the next endpoint, if there are several) and asks from the head's cursor again.
//! A slot that was not over then is simply fetched once more. Only two things end the loop: the
//! network turns out to be another one, and our own machine failing.

use std::{num::NonZeroU64, time::Duration};

use conclave_grpc::{
    messages::{
        GetNetworkInfoRequest, StreamBatchesRequest, StreamBatchesResponse,
        stream_batches_request::Start, stream_batches_response::Event as WireEvent,
    },
    v1::sequence_service_client::SequenceServiceClient,
};
use conclave_types::{Batch, Genesis, NetworkId, RollupId, Time, wire};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};
use tracing::{debug, info, warn};

use crate::{
    chain::{AdvanceError, Chain, Head},
    slots::{Event, Slots, StreamError},
};

/// The first pause before reconnecting; doubled up to [`RETRY_MAX`] while nothing arrives.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(3);

/// A stream that says nothing for so long, not even a heartbeat, is dead.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A batch is at most one revealed block; blocks are bounded far below this.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How far the follower has come, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The newest block.
    pub head: Option<Head>,
    /// Whether a stream is open.
    pub connected: bool,
    /// Highest revealed height that the sequencer told of.
    pub revealed_height: u64,
    /// Transactions that wait for their slot to end.
    pub waiting: usize,
    /// Transactions executed and skipped since the process started.
    pub executed: u64,
    /// Transactions skipped since the process started.
    pub skipped: u64,
}

/// What ends the loop.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The endpoint serves another network.
    #[error("{endpoint} serves network {found}, this data directory belongs to {expected}")]
    OtherNetwork {
        /// The endpoint.
        endpoint: String,
        /// Ours.
        expected: NetworkId,
        /// Theirs.
        found: NetworkId,
    },
    /// The network does not know the rollup.
    #[error("network {network} has no rollup {rollup}; it has {known:?}")]
    UnknownRollup {
        /// The network.
        network: NetworkId,
        /// Ours.
        rollup: RollupId,
        /// What it has.
        known: Vec<u64>,
    },
    /// Our machine fails.
    #[error(transparent)]
    Advance(#[from] AdvanceError),
}

/// What ends one connection.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot be reached")]
    Transport(#[from] tonic::transport::Error),
    #[error("answers {}: {}", .0.code(), .0.message())]
    Status(#[from] Box<tonic::Status>),
    #[error("sends what does not decode")]
    Wire(#[from] wire::WireError),
    #[error("sends a genesis that is not the network's")]
    Genesis,
    #[error("sends an empty event")]
    EmptyEvent,
    #[error("says nothing for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("ended the stream")]
    Ended,
    #[error("does not follow on")]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Fatal(#[from] FollowError),
}

impl From<tonic::Status> for LinkError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// What a network says about one of its rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The network.
    pub network: NetworkId,
    /// Gas of one of the rollup's blocks.
    pub gas_limit: u64,
}

/// The sequencer nodes to follow, tried in turn.
#[derive(Clone, Debug)]
pub struct Sequencers(Vec<Endpoint>);

impl Sequencers {
    /// Parses the addresses.
    ///
    /// # Errors
    ///
    /// If one is no URL.
    pub fn new(urls: &[String]) -> Result<Self, tonic::transport::Error> {
        let endpoint = |url: &String| {
            Ok(Endpoint::from_shared(url.clone())?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(CONNECT_TIMEOUT)
                .keep_alive_while_idle(true))
        };
        urls.iter().map(endpoint).collect::<Result<_, _>>().map(Self)
    }

    /// Asks each sequencer once what the network says about `rollup`; none if nobody answers.
    ///
    /// # Errors
    ///
    /// [`FollowError::UnknownRollup`] if the network has no such rollup.
    pub async fn ask(&self, rollup: RollupId) -> Result<Option<Registration>, FollowError> {
        for endpoint in &self.0 {
            let asked = async { ask_registration(&mut connect(endpoint).await?, rollup).await };
            match answered(asked).await {
                Ok(registration) => return Ok(Some(registration)),
                Err(LinkError::Fatal(error)) => return Err(error),
                Err(error) => report(endpoint, &error),
            }
        }
        Ok(None)
    }

    /// Asks again and again, until a sequencer answers.
    ///
    /// # Errors
    ///
    /// [`FollowError::UnknownRollup`] if the network has no such rollup.
    pub async fn ask_until(&self, rollup: RollupId) -> Result<Registration, FollowError> {
        let mut pause = RETRY_MIN;
        loop {
            match self.ask(rollup).await? {
                Some(registration) => return Ok(registration),
                None => pause = sleep_and_double(pause).await,
            }
        }
    }
}

type Client = SequenceServiceClient<Channel>;

async fn connect(endpoint: &Endpoint) -> Result<Client, LinkError> {
    let channel = endpoint.connect().await?;
    Ok(SequenceServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

async fn ask_registration(
    client: &mut Client,
    rollup: RollupId,
) -> Result<Registration, LinkError> {
    let info = client.get_network_info(GetNetworkInfoRequest {}).await?.into_inner();
    let network = wire::id(&info.network_id, "network_id", NetworkId::from_slice)?;
    // The genesis proves itself: its digest is the network id.
    let genesis: Option<Genesis> = serde_json::from_str(&info.genesis_json).ok();
    let genesis = genesis.filter(|genesis| genesis.network_id() == network);
    let genesis = genesis.ok_or(LinkError::Genesis)?;
    let found = genesis.rollups.iter().find(|registered| registered.id == rollup);
    let registered = found.ok_or_else(|| {
        let known = genesis.rollups.iter().map(|registered| registered.id.as_u64()).collect();
        FollowError::UnknownRollup { network, rollup, known }
    })?;
    Ok(Registration { network, gas_limit: registered.gas_limit })
}

fn report(endpoint: &Endpoint, error: &LinkError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!(sequencer = %endpoint.uri(), %error, cause, "sequencer lost");
}

async fn sleep_and_double(pause: Duration) -> Duration {
    tokio::time::sleep(pause).await;
    pause.saturating_mul(2).min(RETRY_MAX)
}

/// Drives a [`Chain`] along the stream.
#[derive(Debug)]
pub struct Follower {
    chain: Chain,
    sequencers: Sequencers,
    progress: watch::Sender<Progress>,
}

impl Follower {
    /// A follower of `chain` and a view of its progress.
    #[must_use]
    pub fn new(chain: Chain, sequencers: Sequencers) -> (Self, watch::Receiver<Progress>) {
        let (progress, view) = watch::channel(Progress::default());
        (Self { chain, sequencers, progress }, view)
    }

    /// Follows until `stop`. A slot that is being executed is finished first.
    ///
    /// # Errors
    ///
    /// [`FollowError`] if going on makes no sense.
    pub async fn run(self, stop: CancellationToken) -> Result<(), FollowError> {
        let mut pause = RETRY_MIN;
        for endpoint in self.sequencers.0.iter().cycle() {
            let before = self.progress.borrow().revealed_height;
            let ended = self.follow(endpoint, &stop).await;
            self.progress.send_modify(|progress| progress.connected = false);
            match ended {
                Ok(()) => return Ok(()),
                Err(LinkError::Fatal(error)) => return Err(error),
                Err(error) => report(endpoint, &error),
            }
            if self.progress.borrow().revealed_height > before {
                pause = RETRY_MIN;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                longer = sleep_and_double(pause) => pause = longer,
            }
        }
        Ok(())
    }

    /// Follows one connection until it breaks, or `stop`.
    async fn follow(&self, endpoint: &Endpoint, stop: &CancellationToken) -> Result<(), LinkError> {
        let rules = self.chain.rules();
        let head = self.chain.head().await.map_err(AdvanceError::from);
        let head = head.map_err(FollowError::from)?;
        let mut slots = Slots::new(rules.rollup, rules.period, head.cursor, head.timestamp);
        self.progress.send_modify(|progress| progress.head = Some(head));
        let mut stream = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            stream = answered(self.open(endpoint, slots.cursor().next_sequence)) => stream?,
        };
        info!(sequencer = %endpoint.uri(), from = slots.cursor().next_sequence, "following");
        self.progress.send_modify(|progress| progress.connected = true);
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                message = next(&mut stream) => message?,
            };
            let event = self.parse(message)?;
            let over = slots.push(event)?;
            if let Some(slot) = over {
                self.advance(slot).await?;
            }
            self.progress.send_modify(|progress| progress.waiting = slots.waiting());
        }
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        from: u64,
    ) -> Result<Streaming<StreamBatchesResponse>, LinkError> {
        let rules = self.chain.rules();
        let mut client = connect(endpoint).await?;
        let found = ask_registration(&mut client, rules.rollup).await?.network;
        if found != rules.network {
            let endpoint = endpoint.uri().to_string();
            let expected = rules.network;
            return Err(FollowError::OtherNetwork { endpoint, expected, found }.into());
        }
        let start = Some(Start::Sequence(from));
        let request = StreamBatchesRequest { rollup_id: rules.rollup.as_u64(), start };
        Ok(client.stream_batches(request).await?.into_inner())
    }

    fn parse(&self, message: StreamBatchesResponse) -> Result<Event, LinkError> {
        match message.event.ok_or(LinkError::EmptyEvent)? {
            WireEvent::Batch(batch) => {
                let batch = Batch::try_from(batch)?;
                debug!(sequence = batch.sequence, height = %batch.height, "batch");
                self.saw_height(batch.height.as_u64());
                Ok(Event::Batch(batch))
            }
            WireEvent::Heartbeat(beat) => {
                self.saw_height(beat.revealed_height);
                let time = Time::from_micros(beat.time_micros);
                Ok(Event::Heartbeat { time, next_sequence: beat.next_sequence })
            }
        }
    }

    fn saw_height(&self, height: u64) {
        self.progress.send_modify(|progress| {
            progress.revealed_height = progress.revealed_height.max(height);
        });
    }

    async fn advance(&self, slot: crate::slots::Slot) -> Result<(), FollowError> {
        let (head, executed) = self.chain.advance(slot).await?;
        let (total, included) = (executed.records.len(), executed.included());
        let skipped = total.saturating_sub(included);
        info!(
            number = head.number,
            hash = %format_args!("{:#x}", head.hash),
            height = %head.height(),
            included,
            skipped,
            gas = executed.header.gas_used,
            "block"
        );
        self.progress.send_modify(|progress| {
            progress.head = Some(head);
            progress.executed = progress.executed.saturating_add(count(included));
            progress.skipped = progress.skipped.saturating_add(count(skipped));
        });
        Ok(())
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

async fn next(
    stream: &mut Streaming<StreamBatchesResponse>,
) -> Result<StreamBatchesResponse, LinkError> {
    answered(async { stream.message().await?.ok_or(LinkError::Ended) }).await
}

async fn answered<T>(asked: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    let answer = tokio::time::timeout(SILENCE_MAX, asked).await;
    answer.unwrap_or(Err(LinkError::Silent))
}

/// The slot length in seconds, from milliseconds.
///
/// # Errors
///
/// If it is no whole number of seconds: EVM time has no finer unit.
pub fn slot_seconds(slot_ms: u64) -> Result<NonZeroU64, String> {
    let seconds = slot_ms.is_multiple_of(1_000).then(|| NonZeroU64::new(slot_ms / 1_000)).flatten();
    seconds.ok_or_else(|| format!("{slot_ms} ms is not a positive multiple of 1000 ms"))
}
