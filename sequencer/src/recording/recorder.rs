//! Writing a recording while a sequencer works.

use std::io::Write;

use conclave_types::Time;

use super::{
    Ending, Entry, Outputs, Reads, Start, Step, Told,
    frame::{FRAME_BYTES_MAX, HEAD_BYTES, MAGIC},
};
use crate::{
    input::{Input, Ready},
    sequencer::Sequencer,
};

/// What the last entry takes.
const END_BYTES: u64 = HEAD_BYTES as u64 + 2;

/// Why a recording stops.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be written.
    #[error("the recording cannot be written")]
    Io(#[from] std::io::Error),
    /// It has the size that it may have.
    #[error("the recording has its full size of {bytes_max} bytes")]
    Full {
        /// The size.
        bytes_max: u64,
    },
    /// Something has no room in an entry.
    #[error("an entry of the recording would be longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    to: W,
    bytes_max: u64,
    left: u64,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording: how the sequencer started, what it read, and what it did first. The recording
    /// ends by itself before it would be longer than `bytes_max`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn begin(
        to: W,
        bytes_max: u64,
        start: Start,
        reads: Reads,
        first: &Ready,
    ) -> Result<Self, RecordError> {
        let mut recorder = Self { to, bytes_max, left: bytes_max };
        recorder.write(&MAGIC)?;
        recorder.put(&Entry::Start(Box::new(start)))?;
        for stored in reads.into_entries() {
            recorder.put(&Entry::Stored(stored))?;
        }
        recorder.put(&Entry::Recovered(Box::new(Outputs::of(first))))?;
        Ok(recorder)
    }

    /// Ends the recording of a process that is stopped.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), RecordError> {
        self.end(Ending::Stopped)
    }

    /// Hands what was recorded to the operating system, so that it outlives the process.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        Ok(self.to.flush()?)
    }

    fn put(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let frame = entry.frame().ok_or(RecordError::TooLong)?;
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.left.checked_sub(size).filter(|left| *left >= END_BYTES) {
            Some(left) => self.left = left,
            None => {
                self.end(Ending::Full)?;
                return Err(RecordError::Full { bytes_max: self.bytes_max });
            }
        }
        Ok(self.to.write_all(bytes)?)
    }

    fn end(&mut self, ending: Ending) -> Result<(), RecordError> {
        let frame = Entry::End(ending).frame().ok_or(RecordError::TooLong)?;
        self.to.write_all(&frame)?;
        self.flush()
    }
}

/// A sequencer in a shell: whoever steps it cannot step past the recording.
pub struct Recorded<W> {
    /// Boxed: a shell holds it across waits.
    core: Box<Sequencer>,
    recorder: Option<Recorder<W>>,
    failure: Option<RecordError>,
}

impl<W: Write> Recorded<W> {
    /// A sequencer that was just recovered, and its recording, if it is to be recorded.
    #[must_use]
    pub fn new(core: Sequencer, recorder: Option<Recorder<W>>) -> Self {
        Self { core: Box::new(core), recorder, failure: None }
    }

    /// The sequencer, to look at.
    #[must_use]
    pub const fn core(&self) -> &Sequencer {
        &self.core
    }

    /// The sequencer, without its recording.
    #[must_use]
    pub fn into_core(self) -> Sequencer {
        *self.core
    }

    /// [`Sequencer::step`].
    pub fn step(&mut self, now: Time, input: Input) -> Ready {
        let Some(recorder) = &mut self.recorder else { return self.core.step(now, input) };
        let told = Told::of(&input);
        let ready = self.core.step(now, input);
        let outputs = Outputs::of(&ready);
        let result = recorder.put(&Entry::Step(Box::new(Step { now, told, outputs })));
        self.note(result);
        ready
    }

    /// [`Recorder::flush`]; why the recording has stopped since the last call, if it has.
    pub fn flush(&mut self) -> Option<RecordError> {
        if let Some(recorder) = &mut self.recorder {
            let result = recorder.flush();
            self.note(result);
        }
        self.failure.take()
    }

    /// [`Recorder::finish`], and the sequencer goes. Why the recording failed, if it did.
    pub fn finish(mut self) -> Option<RecordError> {
        let last = self.recorder.take().and_then(|recorder| recorder.finish().err());
        self.failure.or(last)
    }

    fn note(&mut self, result: Result<(), RecordError>) {
        if let Err(failure) = result {
            self.recorder = None;
            self.failure = Some(failure);
        }
    }
}
