//! Another storage key: what was copied under the old one is worth nothing once that is destroyed.
//!
//! ```text
//!  storage.key   storage.key.next   storage.key.old   data/secrets
//!  old           –                  –                 under old
//!  old           new                –                 under old, one after the other under new
//!  old           new                old               under new
//!  new           –                  old               under new
//!  new           –                  –                 under new
//! ```
//!
//! **Invariants.** Each line is durable before the next one begins, and both keys are there for as long as any secret needs the
//! old one: so a crash loses nothing, and whoever begins again goes on from where it ended. A node that is started between
//! the lines runs, or does not find a secret to be under `storage.key` and says so. The old key is overwritten before its last
//! name goes. Nobody else uses the secrets meanwhile: the database's lock is held, which a running node holds.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use conclave_secrets::{SecretFiles, SecretsError};
use conclave_types::NetworkId;
use rand_core::{OsRng, RngCore as _};
use rustix::fs::{FlockOperation, fcntl_lock};
use zeroize::Zeroizing;

use crate::{
    config::Config,
    keys::{self, KeyFileError},
};

/// A key file and its line end, in zeros.
const ERASED: [u8; 65] = [0; 65];

/// Why the key was not changed, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// There is nothing to change.
    #[error("the configuration names no keys.storage: a full node keeps no secrets")]
    NoKey,
    /// A node runs there.
    #[error("a node is running on {path}; stop it first")]
    Running {
        /// Its database.
        path: PathBuf,
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
    /// If a node runs there, or there is no key to change.
    pub fn begin(config: &Config, network: NetworkId) -> Result<Self, RekeyError> {
        let key = config.keys.storage.clone().ok_or(RekeyError::NoKey)?;
        Self::of(network, config.secrets_dir(), key, &config.database_dir())
    }

    fn of(
        network: NetworkId,
        directory: PathBuf,
        key: PathBuf,
        database: &Path,
    ) -> Result<Self, RekeyError> {
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
        let beside = |ending: &str| {
            let mut name = key.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let (next, old) = (beside(".next"), beside(".old"));
        Ok(Self { network, directory, key, next, old, _lock: lock })
    }

    /// Does all that is left to do. Says how many secrets were sealed again.
    ///
    /// # Errors
    ///
    /// What is done stays done, and nothing is lost: begin again.
    pub fn finish(self) -> Result<usize, RekeyError> {
        let mut resealed = 0_usize;
        loop {
            match self.step()? {
                Step::Resealed => resealed = resealed.saturating_add(1),
                Step::Erased => return Ok(resealed),
                Step::Drawn | Step::Linked | Step::Replaced | Step::Unlinked => {}
            }
        }
    }

    /// One durable change.
    fn step(&self) -> Result<Step, RekeyError> {
        if self.old.exists() && !self.next.exists() {
            return self.erase_old();
        }
        let Some(new) = self.next_key()? else { return self.draw() };
        let under = |key| SecretFiles::open(&self.directory, &self.network, key);
        let old = keys::read_storage_key(&self.key)?;
        if under(&new)?.reseal_one(&under(&old)?)? {
            return Ok(Step::Resealed);
        }
        if !self.old.exists() {
            fs::hard_link(&self.key, &self.old).map_err(|source| io_error(&self.old, source))?;
            return self.sync(&self.old).map(|()| Step::Linked);
        }
        fs::rename(&self.next, &self.key).map_err(|source| io_error(&self.key, source))?;
        self.sync(&self.key).map(|()| Step::Replaced)
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
                let old = keys::read_storage_key(&self.key)?;
                SecretFiles::open(&self.directory, &self.network, &old)?.all()?;
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
        self.sync(&self.next).map(|()| Step::Drawn)
    }

    fn erase_old(&self) -> Result<Step, RekeyError> {
        let io = |source| io_error(&self.old, source);
        // The same file under two names if somebody took the new one away: then it is the key in force.
        let inode = |path: &Path| fs::metadata(path).map(|metadata| metadata.ino());
        let is_in_force = inode(&self.old).map_err(io)? == inode(&self.key).map_err(io)?;
        if !is_in_force {
            let mut file = OpenOptions::new().write(true).open(&self.old).map_err(io)?;
            file.write_all(&ERASED).and_then(|()| file.sync_all()).map_err(io)?;
        }
        fs::remove_file(&self.old).map_err(io)?;
        let step = if is_in_force { Step::Unlinked } else { Step::Erased };
        self.sync(&self.old).map(|()| step)
    }

    /// Makes names of files beside `path` durable.
    fn sync(&self, path: &Path) -> Result<(), RekeyError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        let synced = File::open(parent).and_then(|directory| directory.sync_all());
        synced.map_err(|source| io_error(path, source))
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is a new key.
    Drawn,
    /// One more secret is under it.
    Resealed,
    /// The old one has a second name.
    Linked,
    /// The new one is in force.
    Replaced,
    /// The key in force has one name again.
    Unlinked,
    /// The old one is gone, and with it the last thing that there was to do.
    Erased,
}

fn io_error(path: &Path, source: io::Error) -> RekeyError {
    RekeyError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId::new([1; 32]);
    const OLD: [u8; 32] = [9; 32];
    const COUNT: u8 = 3;

    /// A validator's directory with some secrets, and a change of its key that is about to begin.
    fn before(directory: &Path) -> Rekey {
        let rekey = again(directory);
        keys::write(&rekey.key, &OLD).unwrap();
        let files = under(&rekey, OLD);
        (0..COUNT).for_each(|i| files.put(&name(i), &[i; 32]).unwrap());
        rekey
    }

    fn again(directory: &Path) -> Rekey {
        let key = directory.join("storage.key");
        Rekey::of(NETWORK, directory.join("secrets"), key, &directory.join("db")).unwrap()
    }

    fn name(i: u8) -> String {
        format!("share-{i}-0")
    }

    fn under(rekey: &Rekey, key: [u8; 32]) -> SecretFiles {
        SecretFiles::open(&rekey.directory, &NETWORK, &Zeroizing::new(key)).unwrap()
    }

    /// Everything is under another key, and of the old one there is nothing.
    fn assert_over(directory: &Path, witness: &Path) {
        let rekey = again(directory);
        let key = *keys::read_storage_key(&rekey.key).unwrap();
        assert_ne!(key, OLD);
        let all = under(&rekey, key).all().unwrap();
        let expected = (0..COUNT).map(|i| (name(i), Zeroizing::new([i; 32])));
        assert_eq!(all, expected.collect::<Vec<_>>());
        assert!(matches!(under(&rekey, OLD).all(), Err(SecretsError::Sealed { .. })));
        assert!(!rekey.next.exists() && !rekey.old.exists());
        assert_eq!(fs::read(witness).unwrap(), ERASED, "its bytes are gone, whatever names it had");
    }

    #[test]
    fn a_crash_after_any_step_loses_nothing_and_the_next_run_ends_it() {
        let steps = usize::from(COUNT) + 4;
        for done in 0..=steps {
            let directory = tempfile::tempdir().unwrap();
            let (path, witness) = (directory.path(), directory.path().join("witness"));
            let rekey = before(path);
            fs::hard_link(&rekey.key, &witness).unwrap();
            for _ in 0..done {
                rekey.step().unwrap();
            }
            let is_over = !rekey.old.exists() && !rekey.next.exists() && done > 0;
            assert_eq!(is_over, done == steps, "after {done} steps");
            drop(rekey);
            if !is_over {
                again(path).finish().unwrap();
            }
            assert_over(path, &witness);
        }
    }

    #[test]
    fn what_a_node_has_kept_between_the_steps_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let rekey = before(directory.path());
        for _ in 0..=COUNT {
            rekey.step().unwrap();
        }
        under(&rekey, OLD).put("share-9-0", &[9; 32]).unwrap();
        drop(rekey);
        assert_eq!(again(directory.path()).finish().unwrap(), 1);
        let rekey = again(directory.path());
        let key = *keys::read_storage_key(&rekey.key).unwrap();
        assert_eq!(under(&rekey, key).all().unwrap().len(), usize::from(COUNT) + 1);
    }

    #[test]
    fn a_key_that_was_half_written_is_drawn_again_and_one_that_was_taken_away_too() {
        for taken_away in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let witness = directory.path().join("witness");
            let rekey = before(directory.path());
            fs::hard_link(&rekey.key, &witness).unwrap();
            if taken_away {
                // What has two names now is the key in force.
                fs::hard_link(&rekey.key, &rekey.old).unwrap();
                assert_eq!(rekey.step().unwrap(), Step::Unlinked);
                assert_eq!(*keys::read_storage_key(&rekey.key).unwrap(), OLD);
            } else {
                keys::write(&rekey.next, &[7; 32]).unwrap();
                fs::write(&rekey.next, "07").unwrap();
            }
            rekey.finish().unwrap();
            assert_over(directory.path(), &witness);
        }
    }

    #[test]
    fn secrets_of_neither_key_stop_it_before_any_key_goes() {
        let directory = tempfile::tempdir().unwrap();
        let rekey = before(directory.path());
        under(&rekey, [8; 32]).put(&name(1), &[1; 32]).unwrap();
        let refused = again(directory.path()).finish();
        assert!(matches!(refused, Err(RekeyError::Secret(SecretsError::Sealed { .. }))));
        assert_eq!(*keys::read_storage_key(&rekey.key).unwrap(), OLD);
        assert!(rekey.next.exists(), "what is under it is not lost");
    }
}
