//! Frames on a stream: four bytes of length, then the payload. The first frame is a [`Hello`].
//!
//! Reading is total and frugal: a length beyond the lane's limit ends the stream before anything is
//! allocated, and memory grows with the bytes that arrive, never with the bytes that were announced.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_sequencer::MESSAGE_BYTES_MAX;
use conclave_types::NetworkId;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::outbox::Lane;

/// The version of what is said on the streams.
pub const PROTOCOL_VERSION: u32 = 1;
/// Bytes of a frame's length.
pub const HEADER_BYTES: usize = 4;
/// No hello is longer.
const HELLO_BYTES_MAX: usize = 64;
/// The largest urgent message is a block that names 16,384 bundles.
const URGENT_BYTES_MAX: usize = 1 << 20;

impl Lane {
    /// No frame on this lane is longer.
    #[must_use]
    pub const fn frame_bytes_max(self) -> usize {
        match self {
            Self::Urgent => URGENT_BYTES_MAX,
            Self::Bulk => MESSAGE_BYTES_MAX,
        }
    }
}

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed or ended within a frame.
    #[error("the stream failed")]
    Io(#[from] std::io::Error),
    /// A frame longer than the lane takes.
    #[error("a frame of {found} bytes was announced, the most is {max}")]
    TooLong {
        /// The lane's limit.
        max: usize,
        /// The length announced.
        found: usize,
    },
    /// The first frame is no hello.
    #[error("the stream does not start with a hello")]
    NoHello(#[source] std::io::Error),
    /// The peer speaks another version.
    #[error("the peer speaks version {found} of the protocol, this node speaks {PROTOCOL_VERSION}")]
    Version {
        /// The peer's version.
        found: u32,
    },
    /// The peer is of another network.
    #[error("the peer is of network {found}, this node of {expected}")]
    OtherNetwork {
        /// Ours.
        expected: NetworkId,
        /// The peer's.
        found: NetworkId,
    },
}

impl FrameError {
    /// Whether no honest node of this network causes it.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Io(_) => false,
            Self::TooLong { .. }
            | Self::NoHello(_)
            | Self::Version { .. }
            | Self::OtherNetwork { .. } => true,
        }
    }
}

/// What opens a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// The network.
    pub network: NetworkId,
}

impl Hello {
    /// What a node of `network` says.
    #[must_use]
    pub const fn new(network: NetworkId) -> Self {
        Self { version: PROTOCOL_VERSION, network }
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// If the stream fails.
    pub async fn write<W: AsyncWrite + Unpin>(&self, stream: &mut W) -> Result<(), FrameError> {
        write(stream, &borsh::to_vec(self)?).await?;
        Ok(stream.flush().await?)
    }

    /// Reads the peer's and compares it with this one.
    ///
    /// # Errors
    ///
    /// If the stream fails or the peer is another kind of node.
    pub async fn expect<R: AsyncRead + Unpin>(&self, stream: &mut R) -> Result<(), FrameError> {
        let bytes = read(stream, HELLO_BYTES_MAX).await?;
        let found: Self = borsh::from_slice(&bytes).map_err(FrameError::NoHello)?;
        if found.version != self.version {
            return Err(FrameError::Version { found: found.version });
        }
        if found.network != self.network {
            return Err(FrameError::OtherNetwork { expected: self.network, found: found.network });
        }
        Ok(())
    }
}

/// Writes one frame, without flushing.
///
/// # Errors
///
/// If the stream fails.
pub async fn write<W: AsyncWrite + Unpin>(stream: &mut W, frame: &[u8]) -> Result<(), FrameError> {
    let found = frame.len();
    let Ok(length) = u32::try_from(found) else {
        return Err(FrameError::TooLong { max: MESSAGE_BYTES_MAX, found });
    };
    stream.write_all(&length.to_be_bytes()).await?;
    Ok(stream.write_all(frame).await?)
}

/// Reads one frame of at most `max` bytes.
///
/// # Errors
///
/// If the stream fails or ends, or a longer frame is announced.
pub async fn read<R: AsyncRead + Unpin>(stream: &mut R, max: usize) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; HEADER_BYTES];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    let found = usize::try_from(length).unwrap_or(usize::MAX);
    if found > max {
        return Err(FrameError::TooLong { max, found });
    }
    let mut frame = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut frame).await?;
    if frame.len() < found {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(frame)
}
