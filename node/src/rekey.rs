//! Another storage key: what was copied under the old one is worth nothing once that is destroyed.
//!
//! ```text
//!  storage.key   storage.key.next   storage.key.old         data/secrets
//!  old           –                  –                       under old
//!  old           –                  a second name of it     under old
//!  old           new                a second name of it     under old, one after the other under new
//!  new           –                  old                     under new        <- here the operator makes a backup
//!  new           –                  –                       under new
//! ```
//!
//! **Invariants.** Each line is durable before the next one begins, also the line that a run finds which goes on: so a crash
//! loses nothing. What may be impossible where the key lies (a second name, a new file) is done before any secret is sealed
//! again. The last line is a command of its own, and nothing else destroys a key: it does nothing unless every secret opens
//! under the key in force. A node that is started between the lines runs, or does not find a secret to be under `storage.key`
//! and says so. Nobody else uses the secrets meanwhile: the database's lock is held, which a running node holds.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use conclave_secrets::{SecretFiles, SecretsError};
use conclave_types::NetworkId;
use rand_core::{OsRng, RngCore as _};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::geteuid,
};
use zeroize::Zeroizing;

use crate::{
    config::Config,
    keys::{self, KeyFileError},
};

/// Why the key was not changed, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// There is nothing to change.
    #[error("the configuration names no keys.storage: a full node keeps no secrets")]
    NoKey,
    /// Files that this makes would not be the node's.
    #[error(
        "{path} belongs to the user with number {owner}, and this runs as {user}, whose files the node could not read; run it as `sudo -u '#{owner}' conclave …`"
    )]
    OtherUser {
        /// The key.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        user: u32,
    },
    /// A node runs there.
    #[error("a node is running on {path}; stop it first")]
    Running {
        /// Its database.
        path: PathBuf,
    },
    /// The old key could not be kept until the end.
    #[error(
        "cannot give {key} the second name {old}, so nothing was changed: the key must not be a mount by itself, and its file system must have hard links"
    )]
    NoSecondName {
        /// The key.
        key: PathBuf,
        /// The name.
        old: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An old key is there already.
    #[error(
        "{old} is there, and nothing was changed: if it is the key before {key}, erase it with --erase-old once you have a backup of {key}, and run this again for yet another; if you put it there, move it away"
    )]
    OldIsThere {
        /// The key in force.
        key: PathBuf,
        /// The other one.
        old: PathBuf,
    },
    /// The new key is none.
    #[error("{next} holds the key that is in force, so nothing was changed; remove it")]
    SameKey {
        /// The new key.
        next: PathBuf,
    },
    /// What is to be erased may be the only key to a secret.
    #[error(
        "{secret} does not open under {key}, and may under {old}: nothing was changed or erased; if {old} is the key that you had before, move it back to {key}"
    )]
    OldIsNeeded {
        /// The first such secret.
        secret: PathBuf,
        /// The key in force.
        key: PathBuf,
        /// The other one.
        old: PathBuf,
    },
    /// The old key is in force still.
    #[error(
        "nothing was erased: a change of {key} is under way; run `conclave secrets rekey` first"
    )]
    NotOver {
        /// The key in force.
        key: PathBuf,
    },
    /// No old key is there.
    #[error("nothing was erased: there is no {old}")]
    NoOld {
        /// Where it would be.
        old: PathBuf,
    },
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretsError),
    /// Something else cannot be used.
    #[error(
        "cannot use {path}; run the command again when that is mended, it goes on where it ended"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An old storage key that was not erased, if there is one.
#[must_use]
pub fn leftover(key: &Path) -> Option<PathBuf> {
    let old = beside(&fs::canonicalize(key).ok()?, ".old");
    old.exists().then_some(old)
}

/// A change of the storage key that is under way.
#[derive(Debug)]
pub struct Rekey {
    network: NetworkId,
    directory: PathBuf,
    key: PathBuf,
    next: PathBuf,
    old: PathBuf,
    /// Held until the change is over.
    _lock: File,
}

impl Rekey {
    /// Begins, or goes on with what was broken off.
    ///
    /// # Errors
    ///
    /// If a node runs there, there is no key to change, or it is another user's.
    pub fn begin(config: &Config, network: NetworkId) -> Result<Self, RekeyError> {
        let key = config.keys.storage.as_deref().ok_or(RekeyError::NoKey)?;
        let user = geteuid().as_raw();
        Self::of(network, config.secrets_dir(), key, &config.database_dir(), user)
    }

    fn of(
        network: NetworkId,
        directory: PathBuf,
        key: &Path,
        database: &Path,
        user: u32,
    ) -> Result<Self, RekeyError> {
        // Where the file is, not a link to it: its medium was chosen.
        let key = fs::canonicalize(key).map_err(|source| io_error(key, source))?;
        let owner = fs::metadata(&key).map_err(|source| io_error(&key, source))?.uid();
        if owner != user {
            return Err(RekeyError::OtherUser { path: key, owner, user });
        }
        let path = database.join("LOCK");
        let io = |source| io_error(&path, source);
        fs::create_dir_all(database).map_err(io)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(io)?;
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(RekeyError::Running { path: database.to_owned() });
            }
            Err(error) => return Err(io(error.into())),
        }
        let (next, old) = (beside(&key, ".next"), beside(&key, ".old"));
        Ok(Self { network, directory, key, next, old, _lock: lock })
    }

    /// The key in force.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Where the key before it is kept.
    #[must_use]
    pub fn old(&self) -> &Path {
        &self.old
    }

    /// Does all that is left to do until another key is in force. Says how many secrets were sealed again.
    ///
    /// # Errors
    ///
    /// What is done stays done, and nothing is lost: begin again.
    pub fn finish(&self) -> Result<usize, RekeyError> {
        self.sync()?;
        let mut resealed = 0_usize;
        loop {
            match self.step()? {
                Step::Resealed => resealed = resealed.saturating_add(1),
                Step::Replaced => return Ok(resealed),
                Step::Linked | Step::Drawn => {}
            }
        }
    }

    /// Overwrites and removes the key before the one in force. Says how many secrets there are, all under that one.
    ///
    /// # Errors
    ///
    /// If the old one may be needed, or there is none. Then nothing is erased.
    pub fn erase_old(&self) -> Result<usize, RekeyError> {
        self.sync()?;
        match self.is_linked()? {
            None => return Err(RekeyError::NoOld { old: self.old.clone() }),
            Some(false) if !self.next.exists() => {}
            Some(_) => return Err(RekeyError::NotOver { key: self.key.clone() }),
        }
        let count = self.count()?;
        let io = |source| io_error(&self.old, source);
        let mut file = OpenOptions::new().write(true).open(&self.old).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        io::copy(&mut io::repeat(0).take(length), &mut file).map_err(io)?;
        file.sync_all().and_then(|()| fs::remove_file(&self.old)).map_err(io)?;
        self.sync().map(|()| count)
    }

    /// One durable change.
    fn step(&self) -> Result<Step, RekeyError> {
        let is_begun = self.next.exists();
        match self.is_linked()? {
            Some(true) => {}
            linked => {
                if !is_begun {
                    self.count()?;
                }
                let (key, old) = (self.key.clone(), self.old.clone());
                if linked == Some(false) {
                    return Err(RekeyError::OldIsThere { key, old });
                }
                let linked = fs::hard_link(&key, &old);
                linked.map_err(|source| RekeyError::NoSecondName { key, old, source })?;
                return self.sync().map(|()| Step::Linked);
            }
        }
        let Some(new) = self.next_key()? else { return self.draw() };
        let under = |key| SecretFiles::open(&self.directory, &self.network, key);
        let old = keys::read_storage_key(&self.key)?;
        if new == old {
            return Err(RekeyError::SameKey { next: self.next.clone() });
        }
        if under(&new)?.reseal_one(&under(&old)?)? {
            return Ok(Step::Resealed);
        }
        fs::rename(&self.next, &self.key).map_err(|source| io_error(&self.key, source))?;
        self.sync().map(|()| Step::Replaced)
    }

    /// The new key, if it is there as a whole.
    fn next_key(&self) -> Result<Option<Zeroizing<[u8; 32]>>, RekeyError> {
        match keys::read_storage_key(&self.next) {
            Ok(new) => Ok(Some(new)),
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(KeyFileError::Malformed { .. }) => {
                // A crash while it was written. Then nothing is sealed under it.
                self.count()?;
                fs::remove_file(&self.next).map_err(|source| io_error(&self.next, source))?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn draw(&self) -> Result<Step, RekeyError> {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        keys::write(&self.next, &key)?;
        self.sync().map(|()| Step::Drawn)
    }

    /// How many secrets there are, if all of them are under the key in force.
    fn count(&self) -> Result<usize, RekeyError> {
        let key = keys::read_storage_key(&self.key)?;
        match SecretFiles::open(&self.directory, &self.network, &key)?.all() {
            Ok(secrets) => Ok(secrets.len()),
            Err(SecretsError::Sealed { path: secret }) if self.is_linked()? == Some(false) => {
                let (key, old) = (self.key.clone(), self.old.clone());
                Err(RekeyError::OldIsNeeded { secret, key, old })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the old key's name is another one of the key in force; none if it is not there.
    fn is_linked(&self) -> Result<Option<bool>, RekeyError> {
        let file = |path: &Path| match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, error)),
        };
        let (old, key) = (file(&self.old)?, file(&self.key)?);
        Ok(old.map(|old| Some(old) == key))
    }

    /// Makes durable what is there, by whichever run.
    fn sync(&self) -> Result<(), RekeyError> {
        let beside = self.key.parent().unwrap_or(&self.key);
        for path in [&self.next, &self.old, &self.key, beside, &self.directory] {
            match File::open(path).and_then(|file| file.sync_all()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The key in force, which will be the old one, has a second name.
    Linked,
    /// There is a new key.
    Drawn,
    /// One more secret is under it.
    Resealed,
    /// The new one is in force, the last thing that there was to do.
    Replaced,
}

fn beside(key: &Path, ending: &str) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn io_error(path: &Path, source: io::Error) -> RekeyError {
    RekeyError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
