//! Records one validator of a run, in the format of the node's recordings: each of its lives into a file of its
//! own, and its keys, which a replay needs, beside them. The keys of a simulated world are worth nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    mem,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use conclave_secrets::SecretFiles;
use conclave_sequencer::{
    Config, Identity, Ready, RecoverError, SecretBytes, SecretName, Sequencer, Shared, Store as _,
    archive::ArchiveError,
    recording::{Reads, RecordError, Recorded, Recorder, Start, Witness},
};
use conclave_types::Time;
use zeroize::Zeroizing;

use crate::{
    disk::{Disk, DiskError},
    replay::{CONSENSUS_KEY, SECRETS, SETTLEMENT_KEY, SHARE_KEY, STORAGE_KEY},
};

/// The core as a world holds it.
pub(crate) type Core = Recorded<BufWriter<File>>;

/// What a recording may have: a hundred times what a scenario's validator takes.
const BYTES_MAX: u64 = 4 << 30;
/// The key of a simulated world's secrets is worth nothing either.
const STORAGE: [u8; 32] = [0; 32];

/// Why a run was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The recording failed.
    #[error("validator {validator} cannot be recorded in {directory}")]
    Failed {
        /// Who was to be recorded.
        validator: u16,
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: RecordError,
    },
}

/// A handle on the recordings of one validator.
#[derive(Clone, Debug)]
pub struct Tape {
    directory: PathBuf,
    validator: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<PathBuf>,
    failure: Option<RecordError>,
}

impl Tape {
    /// Records `validator` into `directory`.
    #[must_use]
    pub fn new(directory: &Path, validator: u16) -> Self {
        Self { directory: directory.to_owned(), validator, state: Arc::default() }
    }

    /// What was written, in the order of the validator's lives.
    ///
    /// # Errors
    ///
    /// If anything could not be written.
    pub fn files(&self) -> Result<Vec<PathBuf>, TapeError> {
        let mut state = self.state();
        match state.failure.take() {
            None => Ok(state.files.clone()),
            Some(source) => Err(TapeError::Failed {
                validator: self.validator,
                directory: self.directory.clone(),
                source,
            }),
        }
    }

    pub(crate) const fn validator(&self) -> u16 {
        self.validator
    }

    /// Remembers the first failure; the run goes on without the recording.
    pub(crate) fn note(&self, failure: Option<RecordError>) {
        let mut state = self.state();
        state.failure = mem::take(&mut state.failure).or(failure);
    }

    pub(crate) fn keep_keys(&self, identity: &Identity) {
        let share = identity.secret_share.as_ref().map(|share| share.to_bytes());
        let settlement = identity.settlement.as_ref();
        let keys = [
            (CONSENSUS_KEY, Some(hex::encode(identity.signing_key.to_bytes()))),
            (SETTLEMENT_KEY, settlement.map(|settlement| hex::encode(settlement.expose()))),
            (SHARE_KEY, share.map(|share| hex::encode(*share))),
            (STORAGE_KEY, Some(hex::encode(STORAGE))),
        ];
        let result = fs::create_dir_all(&self.directory).and_then(|()| {
            keys.into_iter().filter_map(|(name, key)| Some((name, key?))).try_for_each(
                |(name, key)| {
                    let mut file = create(&self.directory.join(name))?;
                    file.write_all(format!("{key}\n").as_bytes())
                },
            )
        });
        self.note(result.err().map(RecordError::from));
    }

    /// Keeps the secrets that a life begins with, as the node does.
    fn keep_secrets(&self, config: &Config, secrets: &[(SecretName, SecretBytes)]) {
        let directory = self.directory.join(SECRETS);
        let files =
            SecretFiles::open(&directory, &config.genesis.network_id(), &Zeroizing::new(STORAGE));
        let kept = files.and_then(|files| {
            secrets
                .iter()
                .try_for_each(|(name, secret)| files.put(&name.to_string(), secret.expose()))
        });
        self.note(kept.err().map(|error| RecordError::from(io::Error::other(error))));
    }

    fn begin(
        &self,
        start: Start,
        reads: Reads,
        first: &Ready,
    ) -> Option<Recorder<BufWriter<File>>> {
        let mut state = self.state();
        if state.failure.is_some() {
            return None;
        }
        let path = self.directory.join(format!("life-{}.rec", state.files.len()));
        let file = create(&path).map_err(RecordError::from);
        let begun = file
            .and_then(|file| Recorder::begin(BufWriter::new(file), BYTES_MAX, start, reads, first));
        match begun {
            Ok(recorder) => {
                state.files.push(path);
                Some(recorder)
            }
            Err(failure) => {
                state.failure = Some(failure);
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a run that panicked has noted is still so.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is overwritten: a directory holds the recordings of one run.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Recovers a core from its disk, watched if it is recorded.
pub(crate) fn recover(
    tape: Option<&Tape>,
    (config, shared): (Config, Shared),
    disk: &mut Disk,
    now: Time,
) -> Result<(Core, Ready), RecoverError<DiskError>> {
    let Some(tape) = tape else {
        let (core, first) = Sequencer::recover_with(config, shared, disk, now)?;
        return Ok((Core::new(core, None), first));
    };
    let secrets = disk.secrets().map_err(ArchiveError::Store)?;
    tape.keep_secrets(&config, &secrets);
    let names = secrets.into_iter().map(|(name, _)| name).collect();
    let start = Start::new(&config, now, disk.mark(), names);
    let witness = Witness::new(mem::take(disk));
    let recovered = Sequencer::recover_with(config, shared, &witness, now);
    let reads;
    (*disk, reads) = witness.into_parts();
    let (core, first) = recovered?;
    let recorder = tape.begin(start, reads, &first);
    Ok((Core::new(core, recorder), first))
}
