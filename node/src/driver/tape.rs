//! The core as the driver holds it: recorded, if its operator asks for that.
//!
//! Each start of the process writes a file of its own, named by its time. What a turn was told is handed to
//! the operating system before anything of the turn becomes visible, so a recording outlives a process that
//! is killed. It is not synced: power loss may take its end, which readers bear.
//!
//! **A recording never stops a validator.** Whatever is wrong with it is a warning.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::BufWriter,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use conclave_sequencer::{
    Config, Input, Ready, RecoverError, Sequencer, Store as _,
    archive::ArchiveError,
    recording::{Reads, RecordError, Recorded, Recorder, Start, Witness},
};
use conclave_types::Time;

use crate::{
    errors,
    store::{RocksStore, StoreError},
};

/// Where a recording goes.
#[derive(Clone, Debug)]
pub struct RecordTo {
    /// Each start of the node makes a file in this directory.
    pub directory: PathBuf,
    /// What the file may have; then the recording ends.
    pub bytes_max: u64,
}

/// The core. Who steps it cannot step past its recording.
pub struct Tape(Recorded<BufWriter<File>>);

impl Tape {
    /// Recovers the core, and begins a recording if one is asked for. Returns what recovery asks for, and
    /// the store.
    ///
    /// # Errors
    ///
    /// As [`Sequencer::recover`].
    pub fn recover(
        config: Config,
        store: RocksStore,
        now: Time,
        record: Option<&RecordTo>,
    ) -> Result<(Self, Ready, RocksStore), RecoverError<StoreError>> {
        let Some(to) = record else {
            let (core, first) = Sequencer::recover(config, &store, now)?;
            return Ok((Self(Recorded::new(core, None)), first, store));
        };
        let names = store.secrets().map_err(ArchiveError::Store)?;
        let names = names.into_iter().map(|(name, _)| name).collect();
        let mark = store.high_water().map_err(ArchiveError::Store)?;
        let start = Start::new(&config, now, mark, names);
        let witness = Witness::new(store);
        let (core, first) = Sequencer::recover(config, &witness, now)?;
        let (store, reads) = witness.into_parts();
        let recorder = begin(to, start, reads, &first);
        let recorder = recorder.map_err(|failure| warn(&failure)).ok();
        Ok((Self(Recorded::new(core, recorder)), first, store))
    }

    /// The core, to look at.
    #[must_use]
    pub const fn core(&self) -> &Sequencer {
        self.0.core()
    }

    /// Advances the core by one input.
    pub(super) fn step(&mut self, now: Time, input: Input) -> Ready {
        self.0.step(now, input)
    }

    /// Hands what was recorded to the operating system.
    pub(super) fn flush(&mut self) {
        if let Some(failure) = self.0.flush() {
            warn(&failure);
        }
    }

    /// Ends the recording.
    pub(super) fn finish(self) {
        if let Some(failure) = self.0.finish() {
            warn(&failure);
        }
    }
}

fn begin(
    to: &RecordTo,
    start: Start,
    reads: Reads,
    first: &Ready,
) -> Result<Recorder<BufWriter<File>>, RecordError> {
    DirBuilder::new().recursive(true).mode(0o700).create(&to.directory)?;
    let path = to.directory.join(format!("{}.rec", start.now.as_micros()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let recorder = Recorder::begin(BufWriter::new(file), to.bytes_max, start, reads, first)?;
    tracing::warn!(path = %path.display(), "recording; keep the file to yourself while this node runs");
    Ok(recorder)
}

fn warn(failure: &RecordError) {
    tracing::warn!(reason = errors::chain(failure), "the recording ends, and the node goes on");
}
