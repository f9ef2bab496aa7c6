//! This validator's secrets that come and go: keys for attempts at a sharing, and shares of the threshold
//! key. One small file each, encrypted, apart from the database: what a database has deleted stays in its
//! tables and logs until they are rewritten, and these must be gone when they are erased.
//!
//! ```text
//!  data_dir/secrets/share-1-0       nonce (24 bytes) ‖ XChaCha20-Poly1305 of 32 bytes
//!                                   associated data: tag ‖ network ‖ name
//! ```
//!
//! The key is in `keys.storage`. So a copy of the data directory alone, such as a backup, opens nothing;
//! and a file that is moved to another name or network does not open.
//!
//! **Erasing** puts the file aside, overwrites it and removes it; what a crash has left aside is erased at the next
//! start. A disk that writes elsewhere instead, as solid
//! state disks and copying file systems do, may keep the ciphertext; it is worth nothing without the key. The key stays the
//! same until the operator changes it, so **what was erased is not safe from whoever has an older copy of the file and, at any time, the key**:
//! docs/operators.md, *What erasing a share gives*, says what helps and why the key is not changed here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use conclave_types::NetworkId;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const FILE_BYTES: usize = NONCE_BYTES + 32 + 16;
/// A file under this name is being written, or erased.
const DRAFT: &str = "draft";

/// 32 bytes that are overwritten when they are dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Why secrets cannot be kept, and what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file cannot be read, written or removed.
    #[error("cannot use the secret {path}; check the disk and its permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not open under the key: it is damaged, another network's, or the key is another.
    #[error(
        "the secret {path} does not open with this keys.storage; restore that key file from your backup, run `conclave secrets rekey` again if it was broken off, or move the secret away: this validator then sends no shares until the key is handed on to the next epoch"
    )]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// There is no key to keep secrets under: this node is no validator.
    #[error("this node has no keys.storage, so it keeps no secrets")]
    NoKey,
}

/// The directory of a validator's secrets, and the key that opens them.
pub struct SecretFiles {
    directory: PathBuf,
    network: NetworkId,
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for SecretFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFiles").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl SecretFiles {
    /// The secrets in `directory`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made.
    pub fn open(
        directory: &Path,
        network: &NetworkId,
        key: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, SecretsError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| SecretsError::Io { path: directory.to_owned(), source })?;
        let cipher = XChaCha20Poly1305::new(key.as_slice().into());
        Ok(Self { directory: directory.to_owned(), network: *network, cipher })
    }

    /// One secret; none if it is not there.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or does not open.
    pub fn get(&self, name: &str) -> Result<Option<Secret>, SecretsError> {
        if self.path(name).exists() { self.read(name).map(Some) } else { Ok(None) }
    }

    /// Seals one more secret under this key that is still sealed under `old`'s; says whether there was one.
    ///
    /// # Errors
    ///
    /// Fails if the disk does, or one opens under neither.
    pub fn reseal_one(&self, old: &Self) -> Result<bool, SecretsError> {
        self.erase_draft()?;
        for name in self.names()? {
            match self.read(&name) {
                Ok(_) => {}
                Err(SecretsError::Sealed { .. }) => {
                    return self.put(&name, &*old.read(&name)?).map(|()| true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Every secret, to begin with: what a crash has left of others is erased.
    ///
    /// # Errors
    ///
    /// Fails if one cannot be read, or does not open.
    pub fn all(&self) -> Result<Vec<(String, Secret)>, SecretsError> {
        self.erase_draft()?;
        let read = |name: String| self.read(&name).map(|secret| (name, secret));
        self.names()?.into_iter().map(read).collect()
    }

    /// Makes a secret durable.
    ///
    /// # Errors
    ///
    /// Fails if the disk does.
    pub fn put(&self, name: &str, secret: &[u8; 32]) -> Result<(), SecretsError> {
        let path = self.path(name);
        let io = |source| SecretsError::Io { path: path.clone(), source };
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload { msg: secret, aad: &self.associated(name) };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.or(Err(SecretsError::Sealed { path: path.clone() }))?;
        let draft = self.directory.join(DRAFT);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(io)?;
        file.write_all(&[nonce.as_slice(), &sealed].concat()).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&draft, &path).map_err(io)?;
        self.sync().map_err(io)
    }

    /// Overwrites and removes a secret, if it is there.
    ///
    /// # Errors
    ///
    /// Fails if the disk does.
    pub fn erase(&self, name: &str) -> Result<(), SecretsError> {
        let path = self.path(name);
        let io = |source| SecretsError::Io { path: path.clone(), source };
        // Under its own name a file that is half overwritten would pass for one that is damaged.
        match fs::rename(&path, self.path(DRAFT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved.and_then(|()| self.sync()).map_err(io)?,
        }
        self.erase_draft()
    }

    fn erase_draft(&self) -> Result<(), SecretsError> {
        let path = self.path(DRAFT);
        let io = |source| SecretsError::Io { path: path.clone(), source };
        match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io(error)),
            Ok(mut file) => {
                file.write_all(&[0; FILE_BYTES]).and_then(|()| file.sync_all()).map_err(io)?;
            }
        }
        fs::remove_file(&path).and_then(|()| self.sync()).map_err(io)
    }

    /// Names of all secrets, in their order.
    fn names(&self) -> Result<Vec<String>, SecretsError> {
        let io = |source| SecretsError::Io { path: self.directory.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(io)? {
            names.extend(entry.map_err(io)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Secret, SecretsError> {
        let path = self.path(name);
        let io = |source| SecretsError::Io { path: path.clone(), source };
        let mut bytes = Vec::new();
        let limit = (FILE_BYTES as u64).saturating_add(1);
        File::open(&path).map_err(io)?.take(limit).read_to_end(&mut bytes).map_err(io)?;
        let sealed = || SecretsError::Sealed { path: path.clone() };
        let (nonce, body) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(sealed)?;
        let payload = Payload { msg: body, aad: &self.associated(name) };
        let opened = self.cipher.decrypt(XNonce::from_slice(nonce), payload);
        let opened = Zeroizing::new(opened.or(Err(sealed()))?);
        let secret: [u8; 32] = opened.as_slice().try_into().or(Err(sealed()))?;
        Ok(Zeroizing::new(secret))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn associated(&self, name: &str) -> Vec<u8> {
        [b"conclave/secret/v1".as_slice(), self.network.as_bytes(), name.as_bytes()].concat()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId::new([1; 32]);
    const SHARE: &str = "share-1";
    const SEED: &str = "holder-1-2";

    fn open(directory: &Path, network: &NetworkId, key: u8) -> SecretFiles {
        SecretFiles::open(directory, network, &Zeroizing::new([key; 32])).unwrap()
    }

    fn all(files: &SecretFiles) -> Vec<(String, [u8; 32])> {
        files.all().unwrap().into_iter().map(|(name, secret)| (name, *secret)).collect()
    }

    #[test]
    fn secrets_survive_and_are_gone_once_erased() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        let (share, seed) = ([7; 32], [8; 32]);
        let files = open(&path, &NETWORK, 1);
        files.put(SHARE, &[6; 32]).unwrap();
        files.put(SHARE, &share).unwrap();
        files.put(SEED, &seed).unwrap();
        let files = open(&path, &NETWORK, 1);
        assert_eq!(all(&files), [(SEED.to_owned(), seed), (SHARE.to_owned(), share)]);
        files.erase(SHARE).unwrap();
        files.erase(SHARE).unwrap();
        assert_eq!(all(&files), [(SEED.to_owned(), seed)]);
        assert!(!path.join("share-1").exists());
    }

    #[test]
    fn what_a_crash_has_left_of_a_secret_is_erased_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(directory.path(), &NETWORK, 1);
        files.put(SHARE, &[7; 32]).unwrap();
        let (path, draft) = (directory.path().join(SHARE), directory.path().join(DRAFT));
        let bytes = fs::read(&path).unwrap();
        // Put aside, and half or wholly overwritten: erasing never shows under the secret's own name.
        let half = [&[0; 30], &bytes[30..]].concat();
        for left in [bytes.as_slice(), half.as_slice(), &[0; FILE_BYTES], &bytes[..9]] {
            fs::write(&draft, left).unwrap();
            let files = open(directory.path(), &NETWORK, 1);
            assert_eq!(all(&files), [(SHARE.to_owned(), [7; 32])]);
            assert!(!draft.exists());
        }
        // A name for it that stays behind sees that it is overwritten, too.
        let witness = directory.path().join("witness");
        fs::hard_link(&path, &witness).unwrap();
        files.erase(SHARE).unwrap();
        assert!(!path.exists() && !draft.exists());
        assert_eq!(fs::read(&witness).unwrap(), [0; FILE_BYTES]);
    }

    #[test]
    fn a_file_shows_nothing_and_opens_under_its_own_name_network_and_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(directory.path(), &NETWORK, 1);
        files.put(SHARE, &[7; 32]).unwrap();
        let path = directory.path().join("share-1");
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == [7; 8]));
        let refused = |files: &SecretFiles| matches!(files.all(), Err(SecretsError::Sealed { path }) if path.ends_with("share-1"));
        assert!(refused(&open(directory.path(), &NETWORK, 2)));
        assert!(refused(&open(directory.path(), &NetworkId::new([2; 32]), 1)));
        files.put(SEED, &[8; 32]).unwrap();
        fs::rename(directory.path().join("holder-1-2"), &path).unwrap();
        assert!(refused(&files));
        for damaged in [bytes.get(..40).unwrap(), b"", &[0; FILE_BYTES]] {
            fs::write(&path, damaged).unwrap();
            assert!(refused(&files));
        }
        fs::write(&path, &bytes).unwrap();
        assert_eq!(all(&files), [(SHARE.to_owned(), [7; 32])]);
    }
}
