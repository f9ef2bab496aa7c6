//! Entries as bytes, and back.

use std::io::Read;

use conclave_types::{Digest, digest::keccak};

use super::{Entry, outputs::encode};
use crate::message::MESSAGE_BYTES_MAX;

/// No entry has more bytes: the longest are messages, and values of a store, which travel in messages.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + (64 << 10);
/// What every recording opens with; its last byte is the version of the format, and of what is encoded in it.
pub const MAGIC: [u8; 8] = *b"CNCLREC\x06";
const CHECKSUM_BYTES: usize = 8;
pub(super) const HEAD_BYTES: usize = 4 + CHECKSUM_BYTES;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file fails.
    #[error("the recording cannot be read")]
    Io(#[source] std::io::Error),
    /// It is something else.
    #[error("this is no recording of a sequencer")]
    NoRecording,
    /// It is of another version.
    #[error("the recording has format {found}, this program reads {}; replay it with the program that wrote it", MAGIC[7])]
    Version {
        /// Its version.
        found: u8,
    },
    /// An entry's checksum does not fit.
    #[error("entry {number} of the recording is damaged")]
    Damaged {
        /// Which, from 0.
        number: u64,
    },
    /// An entry is longer than any.
    #[error(
        "entry {number} of the recording has {found} bytes, expected at most {FRAME_BYTES_MAX}"
    )]
    TooLong {
        /// Which, from 0.
        number: u64,
        /// Its length.
        found: usize,
    },
    /// An entry is whole and means nothing.
    #[error("entry {number} of the recording is not one that this program knows")]
    Unknown {
        /// Which, from 0.
        number: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Entry {
    /// The entry as it stands in a file; none if it is too long.
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        let payload = encode(self);
        if payload.len() > FRAME_BYTES_MAX {
            return None;
        }
        let length = u32::try_from(payload.len()).ok()?;
        Some([&length.to_le_bytes()[..], &checksum(&payload), &payload].concat())
    }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = keccak(payload);
    let [a, b, c, d, e, f, g, h, ..]: [u8; Digest::LEN] = *digest.as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Reads a recording entry by entry.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// The number of the next entry.
    number: u64,
    is_cut: bool,
}

impl<R: Read> Reader<R> {
    /// Looks whether this is a recording.
    ///
    /// # Errors
    ///
    /// If it is none, or one of another version.
    pub fn new(mut from: R) -> Result<Self, ReadError> {
        let magic = up_to(&mut from, MAGIC.len())?;
        match magic.split_last() {
            Some((version, rest)) if magic.len() == MAGIC.len() && MAGIC.starts_with(rest) => {
                if MAGIC.last() == Some(version) {
                    Ok(Self { from, number: 0, is_cut: false })
                } else {
                    Err(ReadError::Version { found: *version })
                }
            }
            _ => Err(ReadError::NoRecording),
        }
    }

    /// The next entry; none at the end, also where a process died while it wrote one.
    ///
    /// # Errors
    ///
    /// If an entry is damaged, or not one at all.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        let number = self.number;
        let head = up_to(&mut self.from, HEAD_BYTES)?;
        let Some((length, sum)) =
            head.split_first_chunk::<4>().filter(|_| head.len() == HEAD_BYTES)
        else {
            self.is_cut = !head.is_empty();
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(ReadError::TooLong { number, found: length });
        }
        let payload = up_to(&mut self.from, length)?;
        if payload.len() < length {
            self.is_cut = true;
            return Ok(None);
        }
        if checksum(&payload) != sum {
            return Err(ReadError::Damaged { number });
        }
        self.number = number.saturating_add(1);
        borsh::from_slice(&payload)
            .map(Some)
            .map_err(|source| ReadError::Unknown { number, source })
    }

    /// Whether the last entry was cut short.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// As many bytes as there are, up to `length`. Memory grows with what is there, not with what was announced.
fn up_to(from: &mut impl Read, length: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    from.take(limit).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    Ok(bytes)
}
