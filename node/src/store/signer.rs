//! The signer's high-water mark: one small file, apart from the database, that outlives its loss.
//!
//! ```text
//!  slot 0 (4 KiB)                    slot 1 (4 KiB)
//!  magic ‖ network ‖ counter ‖ length ‖ mark ‖ keccak of all before
//! ```
//!
//! Writes alternate between the slots and are synced, so a write that power loss tears leaves the other
//! slot whole; the valid slot with the higher counter counts. What a torn write stood for was never sent.
//!
//! **The file's existence is a statement:** `conclave genesis` writes the first one for a validator that
//! has signed nothing. A validator whose file is gone may have signed anything, so it does not sign.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write as _},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use conclave_sequencer::HighWater;
use conclave_types::{Digest, NetworkId, digest::keccak};

/// A slot is a page, so that no write touches both.
const SLOT_BYTES: usize = 4_096;
const MAGIC: &[u8; 8] = b"CNCLMRK2";
/// magic ‖ network ‖ counter ‖ length.
const HEAD_BYTES: usize = 8 + NetworkId::LEN + 8 + 4;

/// Why the signer's state cannot be used, and what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The file cannot be read or written.
    #[error("cannot use the signer state {path}; check the disk and its permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is a file already.
    #[error("{path} exists; a signer state is never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Neither slot is whole.
    #[error(
        "the signer state {path} is damaged, so this validator cannot know what it has signed and must not sign; move the file away to run without signing, and start with --lost-state HEIGHT to sign again. Never restore an older copy"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file is another network's.
    #[error(
        "the signer state {path} belongs to network {found}; give each network its own data_dir"
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network it belongs to.
        found: NetworkId,
    },
    /// The mark does not fit a slot.
    #[error("a high-water mark of {found} bytes does not fit a slot of {SLOT_BYTES}")]
    TooLong {
        /// Bytes of the mark.
        found: usize,
    },
}

/// The open file and what it says; neither if there is no file.
#[derive(Debug)]
pub struct SignerState {
    path: PathBuf,
    network: NetworkId,
    newest: Option<Newest>,
}

#[derive(Debug)]
struct Newest {
    file: File,
    counter: u64,
    mark: HighWater,
}

impl SignerState {
    /// Writes the first state of a validator that has signed nothing.
    ///
    /// # Errors
    ///
    /// Fails if there is a file already, or the disk does.
    pub fn create(path: &Path, network: &NetworkId, mark: &HighWater) -> Result<(), SignerError> {
        if path.exists() {
            return Err(SignerError::Exists { path: path.to_owned() });
        }
        let io = |source| SignerError::Io { path: path.to_owned(), source };
        let draft = path.with_extension("state.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(io)?;
        file.write_all(&slot(network, 0, mark)?).map_err(io)?;
        file.write_all(&[0; SLOT_BYTES]).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&draft, path).map_err(io)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(io)
    }

    /// Reads the state; a missing file is a state too: "do not sign".
    ///
    /// # Errors
    ///
    /// Fails if the file is damaged, is another network's, or cannot be read.
    pub fn open(path: &Path, network: &NetworkId) -> Result<Self, SignerError> {
        let path = path.to_owned();
        let io = |source| SignerError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(io)? {
            return Ok(Self { path, network: *network, newest: None });
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io)?;
        let mut bytes = Vec::new();
        let limit = (SLOT_BYTES as u64).saturating_mul(2);
        (&file).take(limit).read_to_end(&mut bytes).map_err(io)?;
        let slots = bytes.chunks(SLOT_BYTES).filter_map(read_slot);
        let Some((found, counter, mark)) = slots.max_by_key(|(_, counter, _)| *counter) else {
            return Err(SignerError::Damaged { path });
        };
        if found != *network {
            return Err(SignerError::OtherNetwork { path, found });
        }
        Ok(Self { path, network: *network, newest: Some(Newest { file, counter, mark }) })
    }

    /// The mark; none if there is no file.
    #[must_use]
    pub fn mark(&self) -> Option<HighWater> {
        self.newest.as_ref().map(|newest| newest.mark)
    }

    /// Makes a higher mark durable; where there was none, the file begins with it.
    ///
    /// # Errors
    ///
    /// Fails if the disk does.
    pub fn raise(&mut self, mark: &HighWater) -> Result<(), SignerError> {
        let path = &self.path;
        let Some(newest) = &mut self.newest else {
            // The core raises a mark without a history only when the operator vouches that it is lost.
            Self::create(path, &self.network, mark)?;
            *self = Self::open(&self.path, &self.network)?;
            return Ok(());
        };
        let counter = newest.counter.saturating_add(1);
        let bytes = slot(&self.network, counter, mark)?;
        let offset = if counter.is_multiple_of(2) { 0 } else { SLOT_BYTES as u64 };
        newest
            .file
            .write_all_at(&bytes, offset)
            .and_then(|()| newest.file.sync_data())
            .map_err(|source| SignerError::Io { path: path.clone(), source })?;
        newest.counter = counter;
        newest.mark = *mark;
        Ok(())
    }
}

fn slot(network: &NetworkId, counter: u64, mark: &HighWater) -> Result<Vec<u8>, SignerError> {
    #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
    let payload = borsh::to_vec(mark).expect("encoding into memory does not fail");
    let too_long = SignerError::TooLong { found: payload.len() };
    let Ok(length) = u32::try_from(payload.len()) else { return Err(too_long) };
    let mut bytes = [
        MAGIC.as_slice(),
        network.as_bytes(),
        &counter.to_be_bytes(),
        &length.to_be_bytes(),
        &payload,
    ]
    .concat();
    let seal = keccak(&bytes);
    bytes.extend_from_slice(seal.as_bytes());
    if bytes.len() > SLOT_BYTES {
        return Err(too_long);
    }
    bytes.resize(SLOT_BYTES, 0);
    Ok(bytes)
}

fn read_slot(bytes: &[u8]) -> Option<(NetworkId, u64, HighWater)> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (magic, head) = head.split_at_checked(MAGIC.len())?;
    let (network, head) = head.split_at_checked(NetworkId::LEN)?;
    let (counter, length) = head.split_at_checked(8)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    let seal = rest.get(..Digest::LEN)?;
    let sealed = bytes.get(..HEAD_BYTES.checked_add(length)?)?;
    if magic != MAGIC || keccak(sealed).as_bytes() != seal {
        return None;
    }
    let network = NetworkId::from_slice(network).ok()?;
    let counter = u64::from_be_bytes(counter.try_into().ok()?);
    Some((network, counter, borsh::from_slice(payload).ok()?))
}
