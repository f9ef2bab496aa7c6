//! Tells a core what a recorded one was told, and compares everything that it does.
//!
//! The recording may be the node's or this simulator's own. The core is recovered as every simulated
//! validator's is, with the same judge of signatures, from a disk that holds what the recorded one read; its jobs
//! run in line. So if node and simulator had different rules, or a core's outputs depended on anything but
//! its inputs, a step would differ, and the first one is named.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use conclave_encryption::{SecretShare, ShareError};
use conclave_secrets::{SecretFiles, SecretsError};
use conclave_sequencer::{
    Config, Effects, Entry as StoreEntry, HighWater, Identity, Job, JobNumber, Ready, SecretBytes,
    SecretName, Sequencer, Shared, Store, Table, Write,
    recording::{Difference, Ending, Entry, Outputs, ReadError, Reader, Start, Step, Stored},
};
use conclave_types::{ConsensusKey, SettlementSecret, Time, ValidatorIndex};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    crypto::{Crypto, Judge, Workshop},
    disk::Disk,
    tape,
    world::{CutShort, guarded},
};

/// Names of the key files in a validator's directory, as the node has them.
pub(crate) const CONSENSUS_KEY: &str = "consensus.key";
pub(crate) const SETTLEMENT_KEY: &str = "settlement.key";
pub(crate) const SHARE_KEY: &str = "share.key";
pub(crate) const STORAGE_KEY: &str = "storage.key";
/// Where a validator's directory has its secrets.
pub(crate) const SECRETS: &str = "data/secrets";
/// A key file is 64 digits and a line end.
const KEY_FILE_BYTES_MAX: u64 = 128;
/// What recovery may have read. A validator reads its accounts and its newest blocks.
const STORED_BYTES_MAX: usize = 1 << 30;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the key file {path} does not hold 32 bytes of hexadecimal")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no share of a key.
    #[error("the key file {path} holds no share of a threshold key")]
    Share {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ShareError,
    },
}

/// A validator's keys, which are not in its recording.
pub struct Keys {
    signing_key: SigningKey,
    secret_share: Option<Arc<SecretShare>>,
    settlement: Option<SettlementSecret>,
    /// Where the secrets are, and what they are encrypted under; none if there is no such key.
    secrets: Option<(PathBuf, Zeroizing<[u8; 32]>)>,
}

impl Keys {
    /// Reads the keys in a validator's directory. Its share of the threshold key may be missing.
    ///
    /// # Errors
    ///
    /// Says which file is wrong.
    pub fn read(directory: &Path) -> Result<Self, KeyError> {
        let signing_key = SigningKey::from_bytes(&*read_key(&directory.join(CONSENSUS_KEY))?);
        let storage = directory.join(STORAGE_KEY);
        let storage = storage.exists().then(|| read_key(&storage)).transpose()?;
        let secrets = storage.map(|key| (directory.join(SECRETS), key));
        let path = directory.join(SETTLEMENT_KEY);
        let settlement = path.exists().then(|| read_key(&path)).transpose()?;
        let settlement = settlement
            .map(|key| SettlementSecret::from_bytes(&key).ok_or(KeyError::Malformed { path }))
            .transpose()?;
        let path = directory.join(SHARE_KEY);
        if !path.exists() {
            return Ok(Self { signing_key, secret_share: None, settlement, secrets });
        }
        let share = SecretShare::from_bytes(&*read_key(&path)?)
            .map_err(|source| KeyError::Share { path, source })?;
        Ok(Self { signing_key, secret_share: Some(Arc::new(share)), settlement, secrets })
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(io)?;
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    let mut key = Zeroizing::new([0; 32]);
    let malformed = || KeyError::Malformed { path: path.to_owned() };
    hex::decode_to_slice(text.trim(), &mut *key).or(Err(malformed()))?;
    Ok(key)
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has not the order of a recording.
    #[error("entry {number} of the recording is out of place, expected {expected}")]
    Order {
        /// Which, from 0.
        number: u64,
        /// What was expected there.
        expected: &'static str,
    },
    /// It ends before the first step.
    #[error("the recording ends before its first step")]
    Empty,
    /// It holds more of a store than recovery reads.
    #[error("the recording holds more than {STORED_BYTES_MAX} bytes of a store")]
    TooMuch,
    /// The keys are missing.
    #[error(
        "the recording is of validator {validator} of {network}, whose keys are needed; name its directory with --validator-dir"
    )]
    NoKeys {
        /// Whose.
        validator: ValidatorIndex,
        /// The network's name.
        network: String,
    },
    /// The keys are somebody else's.
    #[error(
        "the recording is of validator {validator} of {network} (network {id}), and these keys are not that validator's"
    )]
    OtherKeys {
        /// Whose were expected.
        validator: ValidatorIndex,
        /// The network's name.
        network: String,
        /// The network.
        id: conclave_types::NetworkId,
    },
    /// The settlement key is missing.
    #[error(
        "the recorded validator {0} had a settlement key, and there is no settlement.key beside its other keys"
    )]
    NoSettlementKey(ValidatorIndex),
    /// The share of the threshold key is missing.
    #[error(
        "the recorded validator {0} had a share of the threshold key, and there is no share.key"
    )]
    NoShare(ValidatorIndex),
    /// A secret that the recorded validator began with is not there, or not any more.
    #[error(
        "the recorded validator began with the secret {0}, which is not in data/secrets: it is erased once its epoch is over"
    )]
    NoSecret(SecretName),
    /// A secret does not open.
    #[error("the secrets of the recorded validator cannot be read")]
    Secrets(#[from] SecretsError),
    /// No core can be recovered from it.
    #[error("no validator can start from this recording")]
    Recover(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The core panicked.
    #[error("the core panicked: {0}")]
    Panicked(String),
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The process was stopped.
    Stopped,
    /// The recording had its full size.
    Full,
    /// The process died, or the end of the file is lost.
    Died,
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// Whether every step did what is recorded.
    pub identical: bool,
    /// The first step that did not.
    pub difference: Option<Departure>,
    /// The network's name.
    pub network: String,
    /// Which validator; none for a full node.
    pub validator: Option<u16>,
    /// Steps that were the same.
    pub steps: u64,
    /// Jobs that were done again.
    pub jobs: u64,
    /// Newest decided height, at the beginning and at the end.
    pub decided: [u64; 2],
    /// Newest revealed height, at the beginning and at the end.
    pub revealed: [u64; 2],
    /// How the recording ends, if it was replayed to its end.
    pub end: Option<End>,
}

/// A step that does not do what is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// Which step, from 1; 0 is recovery.
    pub step: u64,
    /// What time it was told, in microseconds since 1970.
    pub now_us: u64,
    /// What it was told.
    pub told: String,
    /// What is different.
    pub outputs: Vec<Differing>,
}

/// A kind of output that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// The kind.
    pub kind: &'static str,
    /// Digest of what is recorded; none if there was nothing of the kind.
    pub recorded: Option<String>,
    /// What there is now, in short.
    pub found: String,
}

impl From<Difference> for Differing {
    fn from(difference: Difference) -> Self {
        let Difference { kind, recorded, found } = difference;
        Self { kind, recorded: recorded.map(|digest| digest.to_string()), found }
    }
}

/// Replays a recording. A full node needs no keys.
///
/// # Errors
///
/// If the recording cannot be read, or the keys do not fit it.
pub fn replay(recording: impl Read, keys: Option<Keys>) -> Result<Replay, ReplayError> {
    match guarded(|| replay_guarded(recording, keys)) {
        Ok(result) => result,
        Err(CutShort::Panicked(what)) => Err(ReplayError::Panicked(what)),
        Err(CutShort::Told) => Err(ReplayError::Empty),
    }
}

fn replay_guarded(recording: impl Read, keys: Option<Keys>) -> Result<Replay, ReplayError> {
    let mut reader = Reader::new(recording)?;
    let mut number = 0_u64;
    let Some(Entry::Start(start)) = reader.next_entry()? else {
        return Err(ReplayError::Order { number, expected: "the start" });
    };
    let mut disk = Disk::found(start.high_water);
    let mut stored_bytes = 0_usize;
    let first = loop {
        number = number.saturating_add(1);
        match reader.next_entry()? {
            Some(Entry::Stored(Stored { table, key, value })) => {
                stored_bytes = stored_bytes.saturating_add(key.len()).saturating_add(value.len());
                if stored_bytes > STORED_BYTES_MAX {
                    return Err(ReplayError::TooMuch);
                }
                disk.put(table, key, &value);
            }
            Some(Entry::Recovered(outputs)) => break *outputs,
            Some(_) => return Err(ReplayError::Order { number, expected: "what recovery read" }),
            None => return Err(ReplayError::Empty),
        }
    };
    let mut stage = Stage::recover(*start, keys, disk, first)?;
    while stage.replay.identical {
        number = number.saturating_add(1);
        match reader.next_entry()? {
            Some(Entry::Step(step)) => stage.step(*step),
            Some(Entry::End(ending)) => {
                stage.replay.end = Some(match ending {
                    Ending::Stopped => End::Stopped,
                    Ending::Full => End::Full,
                });
                break;
            }
            Some(_) => return Err(ReplayError::Order { number, expected: "a step" }),
            None => {
                stage.replay.end = Some(End::Died);
                break;
            }
        }
    }
    Ok(stage.finish())
}

/// A core that is told what another was told.
struct Stage {
    core: Sequencer,
    workshop: Workshop,
    jobs: BTreeMap<JobNumber, Job>,
    replay: Replay,
}

impl Stage {
    fn recover(
        start: Start,
        keys: Option<Keys>,
        mut disk: Disk,
        recorded: Outputs,
    ) -> Result<Self, ReplayError> {
        let identity = identity(&start, keys.as_ref())?;
        put_secrets(&start, keys.as_ref(), &mut disk)?;
        let Start { genesis, validator, seed, now, .. } = start;
        let network = genesis.name.clone();
        let shared = Shared { verifier: Arc::new(Judge::new(true)), founding: None };
        let config = Config { genesis: Arc::new(genesis), identity, seed };
        let (core, ready) = tape::recover(None, (config, shared), &mut disk, now)
            .map_err(|error| ReplayError::Recover(Box::new(error)))?;
        let core = core.into_core();
        let status = core.status();
        let mut stage = Self {
            core,
            workshop: Workshop::new(Crypto::Real),
            jobs: BTreeMap::new(),
            replay: Replay {
                identical: true,
                difference: None,
                network,
                validator: validator.map(ValidatorIndex::as_u16),
                steps: 0,
                jobs: 0,
                decided: [status.decided.as_u64(); 2],
                revealed: [status.revealed.as_u64(); 2],
                end: None,
            },
        };
        stage.compare(now, "recovery", &recorded, ready);
        Ok(stage)
    }

    fn step(&mut self, step: Step) {
        let Step { now, told, outputs } = step;
        let name = told.to_string();
        let (jobs, workshop) = (&mut self.jobs, &mut self.workshop);
        let mut done = 0;
        let work = |number| {
            done = 1;
            jobs.remove(&number).map(|job| workshop.run(job))
        };
        let input = match told.into_input(work) {
            Ok(input) => input,
            Err(unfit) => {
                let found = unfit.to_string();
                let outputs = vec![Differing { kind: "job", recorded: None, found }];
                return self.departs(now, &name, outputs);
            }
        };
        self.replay.jobs = self.replay.jobs.saturating_add(done);
        let ready = self.core.step(now, input);
        if self.compare(now, &name, &outputs, ready) {
            self.replay.steps = self.replay.steps.saturating_add(1);
        }
    }

    /// Whether a step did what is recorded. What it asked for is carried out as far as it comes back.
    fn compare(&mut self, now: Time, told: &str, recorded: &Outputs, ready: Ready) -> bool {
        let differences = recorded.differences(&ready);
        if !differences.is_empty() {
            let outputs = differences.into_iter().map(Differing::from).collect();
            self.departs(now, told, outputs);
            return false;
        }
        let Ok(Effects { jobs, .. }) = ready.persist(&mut Nowhere);
        self.jobs.extend(jobs);
        true
    }

    fn departs(&mut self, now: Time, told: &str, outputs: Vec<Differing>) {
        let step = if told == "recovery" { 0 } else { self.replay.steps.saturating_add(1) };
        self.replay.identical = false;
        self.replay.difference =
            Some(Departure { step, now_us: now.as_micros(), told: told.to_owned(), outputs });
    }

    fn finish(mut self) -> Replay {
        let status = self.core.status();
        self.replay.decided[1] = status.decided.as_u64();
        self.replay.revealed[1] = status.revealed.as_u64();
        self.replay
    }
}

fn put_secrets(start: &Start, keys: Option<&Keys>, disk: &mut Disk) -> Result<(), ReplayError> {
    let Some(first) = start.secrets.first() else { return Ok(()) };
    let secrets = keys.and_then(|keys| keys.secrets.as_ref());
    let (directory, key) = secrets.ok_or(ReplayError::NoSecret(*first))?;
    let files = SecretFiles::open(directory, &start.genesis.network_id(), key)?;
    for name in &start.secrets {
        let secret = files.get(&name.to_string())?.ok_or(ReplayError::NoSecret(*name))?;
        disk.put_secret(*name, SecretBytes::new(*secret));
    }
    Ok(())
}

fn identity(start: &Start, keys: Option<&Keys>) -> Result<Option<Identity>, ReplayError> {
    let Some(validator) = start.validator else { return Ok(None) };
    let network = start.genesis.name.clone();
    let Some(Keys { signing_key, secret_share, settlement, secrets: _ }) = keys else {
        return Err(ReplayError::NoKeys { validator, network });
    };
    let public = ConsensusKey::new(signing_key.verifying_key().to_bytes());
    let member = start.genesis.members.get(validator.as_usize());
    if member.is_none_or(|member| member.consensus_key != public) {
        let id = start.genesis.network_id();
        return Err(ReplayError::OtherKeys { validator, network, id });
    }
    if start.has_share && secret_share.is_none() {
        return Err(ReplayError::NoShare(validator));
    }
    if start.attests && settlement.is_none() {
        return Err(ReplayError::NoSettlementKey(validator));
    }
    let secret_share = secret_share.clone().filter(|_| start.has_share);
    let settlement = settlement.clone().filter(|_| start.attests);
    let (signing_key, lost_state) = (signing_key.clone(), start.lost_state);
    Ok(Some(Identity { signing_key, secret_share, settlement, lost_state }))
}

/// Where a replay's writes go. A core reads its store while it recovers, and never again, so a replay takes
/// no more memory than a validator.
struct Nowhere;

impl Store for Nowhere {
    type Error = Infallible;

    fn commit(&mut self, _: &[Write]) -> Result<(), Infallible> {
        Ok(())
    }

    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }

    fn scan(&self, _: Table, _: &[u8], _: &[u8], _: usize) -> Result<Vec<StoreEntry>, Infallible> {
        Ok(Vec::new())
    }

    fn high_water(&self) -> Result<Option<HighWater>, Infallible> {
        Ok(None)
    }

    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, Infallible> {
        Ok(Vec::new())
    }
}
