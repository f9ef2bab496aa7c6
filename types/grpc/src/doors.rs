//! A server's listening socket with a bound: how many connections it holds, and how long a silent one is kept.
//!
//! Every open connection costs a file and memory, and a node that runs out of files cannot write to its
//! database. So each public port has its own number of places. Whoever finds all taken is hung up on at
//! once, which a client can tell from a dead host and takes to the next one. A place is given back when its
//! connection ends, and a connection on which nothing moves in either direction is ended: otherwise
//! strangers who merely hold on would shut everybody out.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The wait after the system refuses to hand out a connection, which it does while files are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once; further ones are hung up on.
    pub connections_max: usize,
    /// A connection on which nothing moves for this long is ended.
    pub idle_max: Duration,
}

/// A bounded listener.
#[derive(Debug)]
pub struct Doors {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle_max: Duration,
}

impl Doors {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn open(address: SocketAddr, bounds: Bounds) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, bounds))
    }

    /// Bounds a listener.
    #[must_use]
    pub fn new(listener: TcpListener, bounds: Bounds) -> Self {
        let Bounds { connections_max, idle_max } = bounds;
        Self { listener, places: Arc::new(Semaphore::new(connections_max)), idle_max }
    }

    /// Where it really listens.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection that finds a place. Safe to drop and call again.
    #[expect(clippy::cognitive_complexity, reason = "what the macros of tracing expand to")]
    pub async fn next(&mut self) -> (Guest, SocketAddr) {
        loop {
            let (stream, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::debug!(%from, "hung up on a connection: all places are taken");
                continue;
            };
            // Small answers must not wait for each other.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%from, %error, "the connection is gone already");
                continue;
            }
            return (Guest::new(stream, self.idle_max, place), from);
        }
    }

    /// The connections one by one, as tonic takes them.
    pub fn guests(self) -> impl futures::Stream<Item = io::Result<Guest>> {
        futures::stream::unfold(self, |mut doors| async move {
            let (guest, _) = doors.next().await;
            Some((Ok(guest), doors))
        })
    }
}

impl axum::serve::Listener for Doors {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that holds a place until it ends.
#[derive(Debug)]
pub struct Guest {
    stream: TcpStream,
    idle_max: Duration,
    /// When something moved last.
    moved: Instant,
    /// Wakes the reader when the connection may have been silent for too long.
    alarm: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    fn new(stream: TcpStream, idle_max: Duration, place: OwnedSemaphorePermit) -> Self {
        let moved = Instant::now();
        let alarm = Box::pin(sleep_until(moved + idle_max));
        Self { stream, idle_max, moved, alarm, _place: place }
    }

    /// Ready once nothing has moved for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let until = self.moved + self.idle_max;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(until);
        }
    }

    fn note<T>(&mut self, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.moved = Instant::now();
        }
        moved
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            return self.note(read);
        }
        // Servers read all the time, also while they write, so this is where silence is noticed.
        ready!(self.poll_silence(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Guest {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENT: Duration = Duration::from_secs(60);

    async fn doors(bounds: Bounds) -> (Doors, SocketAddr) {
        let doors = Doors::open("127.0.0.1:0".parse().unwrap(), bounds).await.unwrap();
        let address = doors.address().unwrap();
        (doors, address)
    }

    #[tokio::test]
    async fn beyond_its_places_it_hangs_up_until_one_is_given_back() {
        let (mut doors, address) = doors(Bounds { connections_max: 2, idle_max: PATIENT }).await;
        let (_one, _two) = (TcpStream::connect(address).await, TcpStream::connect(address).await);
        let (first, second) = (doors.next().await, doors.next().await);
        let mut third = TcpStream::connect(address).await.unwrap();
        let refused = async {
            let mut byte = [0];
            third.read(&mut byte).await
        };
        tokio::select! {
            read = refused => assert_eq!(read.unwrap(), 0, "hung up on without a word"),
            _ = doors.next() => panic!("there is no third place"),
        }
        drop(first);
        let mut fourth = TcpStream::connect(address).await.unwrap();
        fourth.write_all(b"x").await.unwrap();
        let (mut guest, _) = doors.next().await;
        assert_eq!(guest.read_u8().await.unwrap(), b'x');
        drop(second);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_ended() {
        let idle_max = Duration::from_millis(20);
        let (mut doors, address) = doors(Bounds { connections_max: 1, idle_max }).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"x").await.unwrap();
        let (mut guest, _) = doors.next().await;
        assert_eq!(guest.read_u8().await.unwrap(), b'x');
        let error = guest.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
