//! One peer's session: two streams to write, two to read, and the hello on each.
//!
//! A session is up once the peer has said hello on its urgent stream and this node has on its own; the
//! driver hears of the peer then, and of its messages only afterwards. A session ends as a whole: when a
//! stream fails, the peer is disconnected and both sides begin anew.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::Message;
use futures::{
    AsyncWriteExt as _, TryFutureExt as _,
    io::{BufReader, BufWriter},
};
use libp2p::{Stream, StreamProtocol};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    frame::{self, FrameError, HEADER_BYTES},
    limits::{Allowance, Bucket},
    outbox::Lane,
    peers::{Link, Peers, WAIT_POINTS},
    swarm::SwarmCommand,
};
use crate::{driver::Inbox, errors};

/// Streams that a peer may open before the session looks at them: one for each lane, and one too many.
pub(super) const STREAMS_MAX: usize = 3;
/// A peer that takes nothing for this long is dead, whatever TCP still hopes.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);
/// A peer that has not said hello within this keeps a place that another could use.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Buffers of a stream: a few votes on one lane, a bundle on the other.
const BUFFER_BYTES: usize = 32 << 10;

impl Lane {
    pub(super) const ALL: [Self; 2] = [Self::Urgent, Self::Bulk];

    pub(super) const fn protocol(self) -> StreamProtocol {
        match self {
            Self::Urgent => StreamProtocol::new("/conclave/1/urgent"),
            Self::Bulk => StreamProtocol::new("/conclave/1/bulk"),
        }
    }
}

/// Why a session ended from this side.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("the peer does not accept {protocol}")]
    Open {
        protocol: StreamProtocol,
        #[source]
        source: libp2p_stream::OpenStreamError,
    },
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the peer sent bytes that are no message")]
    Garbage(#[from] conclave_sequencer::MessageError),
    #[error("the peer sent a {0} message on the other lane")]
    WrongLane(&'static str),
    #[error("the peer keeps on sending more than it may")]
    Flood,
    #[error("the peer does not read its urgent messages")]
    Stuck,
    #[error("the peer took nothing for {WRITE_PATIENCE:?}")]
    Silent,
    #[error("the hellos took longer than {HELLO_PATIENCE:?}")]
    NoHello,
    #[error("the peer has begun another session")]
    Superseded,
    #[error("the node is stopping")]
    Stopping,
}

impl SessionError {
    /// Whether no honest node of this network causes it.
    const fn is_fault(&self) -> bool {
        match self {
            Self::Garbage(_) | Self::WrongLane(_) | Self::Flood => true,
            Self::Frame(error) => error.is_fault(),
            Self::Open { .. }
            | Self::Stuck
            | Self::Silent
            | Self::NoHello
            | Self::Superseded
            | Self::Stopping => false,
        }
    }
}

/// How far the hellos have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Greeted,
    WasGreeted,
}

/// A session's surroundings.
pub(super) struct Session {
    pub(super) link: Arc<Link>,
    pub(super) peers: Arc<Peers>,
    pub(super) control: libp2p_stream::Control,
    pub(super) inbox: Inbox,
    pub(super) commands: mpsc::Sender<SwarmCommand>,
}

impl Session {
    /// Runs until the peer is gone or misbehaves.
    pub(super) async fn run(self, streams: mpsc::Receiver<(Lane, Stream)>) {
        let link = Arc::clone(&self.link);
        let end = tokio::select! {
            () = link.gone.cancelled() => None,
            () = link.outbox.stuck() => Some(SessionError::Stuck),
            end = self.talk(streams) => end,
        };
        if link.up.is_cancelled() {
            self.inbox.peer_down(link.peer).await;
            tracing::info!(peer = ?link.peer, id = %link.id, "peer down");
        }
        if let Some(end) = end {
            self.hang_up(&end).await;
        }
    }

    /// Closes the connections to the peer, and keeps them closed for a while if it is at fault.
    async fn hang_up(&self, end: &SessionError) {
        let (peer, id, reason) = (self.link.peer, self.link.id, errors::chain(end));
        let command = if end.is_fault() {
            tracing::warn!(?peer, %id, reason, "shunning a peer");
            SwarmCommand::Ban(id)
        } else {
            tracing::debug!(?peer, %id, reason, "session ended");
            SwarmCommand::Disconnect(id)
        };
        // Nobody takes it once the transport has stopped, and then the connections are closed.
        drop(self.commands.send(command).await);
    }

    async fn talk(&self, mut streams: mpsc::Receiver<(Lane, Stream)>) -> Option<SessionError> {
        let mut tasks = JoinSet::new();
        let (progress, mut made) = mpsc::channel(STREAMS_MAX);
        for lane in Lane::ALL {
            let writer = Writer { link: Arc::clone(&self.link), lane, hello: self.peers.hello };
            tasks.spawn(writer.run(self.control.clone(), progress.clone()));
        }
        let mut hellos = Hellos::default();
        let mut read = Vec::new();
        let too_late = tokio::time::sleep(HELLO_PATIENCE);
        tokio::pin!(too_late);
        loop {
            tokio::select! {
                Some((lane, stream)) = streams.recv() => {
                    if read.contains(&lane) {
                        return Some(SessionError::Superseded);
                    }
                    read.push(lane);
                    let reader = Reader {
                        link: Arc::clone(&self.link),
                        lane,
                        hello: self.peers.hello,
                        inbox: self.inbox.clone(),
                    };
                    tasks.spawn(reader.run(stream, progress.clone()));
                }
                Some(step) = made.recv() => {
                    if hellos.complete(step) {
                        self.come_up().await;
                    }
                }
                () = &mut too_late, if !self.link.up.is_cancelled() => {
                    return Some(SessionError::NoHello);
                }
                // A task that panicked is this node's fault, not the peer's: begin anew.
                Some(end) = tasks.join_next() => return Some(end.unwrap_or(SessionError::Stopping)),
            }
        }
    }

    async fn come_up(&self) {
        self.inbox.peer_up(self.link.peer).await;
        tracing::info!(peer = ?self.link.peer, id = %self.link.id, "peer up");
        self.link.up.cancel();
    }
}

/// Which hellos were said. Each lane is opened once, so each is said once.
#[derive(Default)]
struct Hellos {
    greeted: bool,
    was_greeted: bool,
}

impl Hellos {
    /// Notes one; returns whether both sides have said theirs by it.
    const fn complete(&mut self, step: Progress) -> bool {
        match step {
            Progress::Greeted => self.greeted = true,
            Progress::WasGreeted => self.was_greeted = true,
        }
        self.greeted && self.was_greeted
    }
}

struct Writer {
    link: Arc<Link>,
    lane: Lane,
    hello: frame::Hello,
}

impl Writer {
    async fn run(
        self,
        mut control: libp2p_stream::Control,
        progress: mpsc::Sender<Progress>,
    ) -> SessionError {
        let protocol = self.lane.protocol();
        let opened = control.open_stream(self.link.id, protocol.clone()).await;
        let stream = match opened {
            Ok(stream) => stream,
            Err(source) => return SessionError::Open { protocol, source },
        };
        match self.write(stream, progress).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn write(
        &self,
        stream: Stream,
        progress: mpsc::Sender<Progress>,
    ) -> Result<std::convert::Infallible, SessionError> {
        let mut stream = BufWriter::with_capacity(BUFFER_BYTES, stream);
        self.hello.write(&mut stream).await?;
        if self.lane == Lane::Urgent && progress.send(Progress::Greeted).await.is_err() {
            tracing::trace!("the session ended during the hello");
        }
        self.link.up.cancelled().await;
        loop {
            let mut next = Some(self.link.outbox.pop(self.lane).await);
            while let Some(bytes) = next {
                in_time(frame::write(&mut stream, &bytes)).await?;
                self.link.counters.sent(bytes.len().saturating_add(HEADER_BYTES));
                next = self.link.outbox.try_pop(self.lane);
            }
            in_time(stream.flush().map_err(FrameError::Io)).await?;
        }
    }
}

async fn in_time(write: impl Future<Output = Result<(), FrameError>>) -> Result<(), SessionError> {
    match tokio::time::timeout(WRITE_PATIENCE, write).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(SessionError::Silent),
    }
}

struct Reader {
    link: Arc<Link>,
    lane: Lane,
    hello: frame::Hello,
    inbox: Inbox,
}

impl Reader {
    async fn run(self, stream: Stream, progress: mpsc::Sender<Progress>) -> SessionError {
        match self.read(stream, progress).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn read(
        &self,
        stream: Stream,
        progress: mpsc::Sender<Progress>,
    ) -> Result<std::convert::Infallible, SessionError> {
        let mut stream = BufReader::with_capacity(BUFFER_BYTES, stream);
        self.hello.expect(&mut stream).await?;
        if self.lane == Lane::Urgent && progress.send(Progress::WasGreeted).await.is_err() {
            tracing::trace!("the session ended during the hello");
        }
        self.link.up.cancelled().await;
        let allowance = Allowance::of(self.link.is_validator(), self.lane);
        let mut bucket = Bucket::new(allowance, Instant::now());
        loop {
            let bytes = frame::read(&mut stream, self.lane.frame_bytes_max()).await?;
            let size = bytes.len().saturating_add(HEADER_BYTES);
            self.link.counters.received(size);
            let message = Message::decode(&bytes)?;
            if message.is_bulk() != (self.lane == Lane::Bulk) {
                return Err(SessionError::WrongLane(message.kind()));
            }
            drop(bytes);
            if !self.inbox.deliver(self.lane, self.link.peer, message, size).await {
                return Err(SessionError::Stopping);
            }
            self.pace(&mut bucket, size).await?;
        }
    }

    /// Reads a fast peer more slowly. A validator is only slowed down: it may have much to say after an
    /// outage. Anyone else who keeps on is shunned.
    async fn pace(&self, bucket: &mut Bucket, size: usize) -> Result<(), SessionError> {
        let wait = bucket.take(size, Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        if !self.link.is_validator() && self.link.blame(WAIT_POINTS) {
            return Err(SessionError::Flood);
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
