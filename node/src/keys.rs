//! Key files: 32 bytes as one line of hexadecimal, readable by their owner only.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use conclave_types::SettlementSecret;
use ed25519_dalek::SigningKey;
use libp2p::identity::Keypair;
use rand_core::{OsRng, RngCore as _};
use zeroize::{Zeroize as _, Zeroizing};

/// A key file is 64 digits and a line end.
const FILE_BYTES_MAX: u64 = 128;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("the key file {path} can be read by others (mode {mode:o}); run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else than 32 bytes of hexadecimal.
    #[error(
        "the key file {path} does not hold 32 bytes of hexadecimal; restore it from your backup"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the key that votes.
///
/// # Errors
///
/// Says what is wrong with the file.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    Ok(SigningKey::from_bytes(&*read(path)?))
}

/// Reads the identity towards other nodes.
///
/// # Errors
///
/// Says what is wrong with the file.
pub fn read_network_key(path: &Path) -> Result<Keypair, KeyFileError> {
    let mut seed = read(path)?;
    let keypair = Keypair::ed25519_from_bytes(&mut *seed);
    keypair.or(Err(KeyFileError::Malformed { path: path.to_owned() }))
}

/// Reads the key that signs commitments for L1: a scalar, big-endian.
///
/// # Errors
///
/// Says what is wrong with the file.
pub fn read_settlement_key(path: &Path) -> Result<SettlementSecret, KeyFileError> {
    let secret = SettlementSecret::from_bytes(&*read(path)?);
    secret.ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
}

/// Writes such a key into a new file that only its owner can read.
///
/// # Errors
///
/// If there is a file already, or the disk fails.
pub fn write_settlement_key(path: &Path, secret: &SettlementSecret) -> Result<(), KeyFileError> {
    write(path, &Zeroizing::new(secret.expose()))
}

/// A new settlement key, from the operating system's randomness.
#[must_use]
pub fn new_settlement_key() -> SettlementSecret {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *seed);
    SettlementSecret::from_seed(&seed)
}

/// Reads the key under which shares of the threshold key are stored.
///
/// # Errors
///
/// Says what is wrong with the file.
pub fn read_storage_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    read(path)
}

/// Writes a key into a new file that only its owner can read.
///
/// # Errors
///
/// If there is a file already, or the disk fails.
pub fn write(path: &Path, key: &[u8; 32]) -> Result<(), KeyFileError> {
    let mut line = Zeroizing::new(hex::encode(key));
    line.push('\n');
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Reads a key of whatever kind.
///
/// # Errors
///
/// Says what is wrong with the file.
pub fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    let mut key = Zeroizing::new([0; 32]);
    let digits = text.trim();
    // As Ethereum's tools write keys.
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    if hex::decode_to_slice(digits, &mut *key).is_err() {
        key.zeroize();
        return Err(KeyFileError::Malformed { path: path.to_owned() });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        write(&path, &[7; 32]).unwrap();
        assert_eq!(*read(&path).unwrap(), [7; 32]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_key_file_is_never_overwritten_and_garbage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        write(&path, &[7; 32]).unwrap();
        assert!(matches!(write(&path, &[8; 32]), Err(KeyFileError::Io { .. })));
        std::fs::write(&path, "zz").unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Malformed { .. })));
    }
}
