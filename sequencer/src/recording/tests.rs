use std::io;

use super::*;
use crate::{
    Event, Input, Message, Ready, Sequencer,
    recording::{Recorded, Recorder, told::Unfit},
    testing::Solo,
};

const PLENTY: u64 = 1 << 24;

/// A recording of one validator that decides and opens a block with a bundle in it.
fn recording() -> Vec<u8> {
    let mut solo = Solo::new();
    let store = Witness::new(solo.store.clone());
    let (core, first) = Sequencer::recover(solo.config(), &store, solo.now).unwrap();
    let (_, reads) = store.into_parts();
    let start = Start::new(&solo.config(), solo.now, None, Vec::new());
    let mut bytes = Vec::new();
    let recorder = Recorder::begin(&mut bytes, PLENTY, start, reads, &first).unwrap();
    let mut core = Recorded::new(core, Some(recorder));
    let bundle = solo.bundle(0);
    let mut jobs: Vec<_> = first.persist(&mut solo.store).unwrap().jobs;
    let mut inputs = vec![Input::Submit { ticket: 1, bundle }];
    let mut revealed = 0;
    while revealed < 2 {
        let input = inputs.pop().unwrap_or_else(|| match jobs.pop() {
            Some((job, work)) => Input::JobDone { job, output: work.run() },
            None => Input::Tick,
        });
        if matches!(input, Input::Tick) {
            let wake = core.core().wake_at().unwrap();
            solo.now = wake.max(solo.now);
        }
        let effects = core.step(solo.now, input).persist(&mut solo.store).unwrap();
        jobs.extend(effects.jobs);
        let is_reveal = |event: &&Event| matches!(event, Event::Revealed { .. });
        revealed += effects.events.iter().filter(is_reveal).count();
    }
    assert!(core.finish().is_none());
    bytes
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::new(bytes).unwrap();
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

#[test]
fn a_recording_reads_back_in_order_and_ends() {
    let entries = entries(&recording());
    assert!(matches!(&entries[0], Entry::Start(start) if start.validator.is_some()));
    let steps = entries.iter().filter(|entry| matches!(entry, Entry::Step(_))).count();
    assert!(steps > 5, "{steps} steps");
    assert_eq!(entries.last(), Some(&Entry::End(Ending::Stopped)));
    assert_eq!(self::entries(&recording()), entries, "the same run, the same recording");
}

#[test]
fn a_recording_holds_no_key() {
    let bytes = recording();
    let solo = Solo::new();
    let share = solo.identity.secret_share.as_ref().unwrap().to_bytes();
    for secret in [*solo.identity.signing_key.as_bytes(), *share] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn what_a_recording_is_cut_to_reads_up_to_the_cut() {
    let bytes = recording();
    let whole = entries(&bytes);
    for cut in (MAGIC_BYTES..bytes.len()).step_by(97) {
        let mut reader = Reader::new(&bytes[..cut]).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            found.push(entry);
        }
        assert_eq!(found, whole[..found.len()], "cut at {cut}");
        assert!(found.len() < whole.len());
    }
}

const MAGIC_BYTES: usize = 8;

#[test]
fn other_files_other_versions_and_damage_are_named() {
    let bytes = recording();
    let open = |bytes: &[u8]| Reader::new(bytes).map(drop);
    assert!(matches!(open(b""), Err(ReadError::NoRecording)));
    assert!(matches!(open(b"CNCLREC"), Err(ReadError::NoRecording)));
    assert!(matches!(open(b"# Conclave"), Err(ReadError::NoRecording)));
    assert!(matches!(open(b"CNCLREC\x01"), Err(ReadError::Version { found: 1 })));
    let read = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes).unwrap();
        loop {
            match reader.next_entry() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("read to the end"),
                Err(error) => return error,
            }
        }
    };
    let mut flipped = bytes.clone();
    flipped[MAGIC_BYTES + 20] ^= 1;
    assert!(matches!(read(&flipped), ReadError::Damaged { number: 0 }));
    let mut long = bytes;
    long[MAGIC_BYTES..MAGIC_BYTES + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(&long), ReadError::TooLong { number: 0, .. }));
}

#[test]
fn a_full_recording_ends_and_the_sequencer_goes_on() {
    let solo = Solo::new();
    let (core, first) = Sequencer::recover(solo.config(), &solo.store, solo.now).unwrap();
    let start = Start::new(&solo.config(), solo.now, None, Vec::new());
    let mut bytes = Vec::new();
    let reads = Reads::default;
    let whole = Recorder::begin(&mut bytes, PLENTY, start.clone(), reads(), &first);
    whole.unwrap().flush().unwrap();
    let size = bytes.len() as u64;
    bytes.clear();
    let recorder = Recorder::begin(&mut bytes, size + 200, start, reads(), &first).unwrap();
    let mut core = Recorded::new(core, Some(recorder));
    for _ in 0..10 {
        drop(core.step(solo.now, Input::Tick));
    }
    assert!(
        matches!(core.flush(), Some(RecordError::Full { bytes_max }) if bytes_max == size + 200)
    );
    assert!(core.flush().is_none(), "it is told once");
    drop(core.step(solo.now, Input::Tick));
    assert!(core.finish().is_none());
    assert!(bytes.len() as u64 <= size + 200);
    assert_eq!(entries(&bytes).last(), Some(&Entry::End(Ending::Full)));
}

struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_that_cannot_be_written_is_given_up() {
    let solo = Solo::new();
    let (_, first) = Sequencer::recover(solo.config(), &solo.store, solo.now).unwrap();
    let start = Start::new(&solo.config(), solo.now, None, Vec::new());
    let begun = Recorder::begin(Broken, PLENTY, start, Reads::default(), &first);
    assert!(matches!(begun, Err(RecordError::Io(_))));
}

#[test]
fn each_kind_of_output_that_differs_is_named() {
    let mut ready = Ready::default();
    let nothing = Outputs::of(&ready);
    assert_eq!(nothing, Outputs::default());
    ready.effects.broadcast.push(Message::WantBundles(Vec::new()));
    ready.effects.halt = Some("why".into());
    let differences = nothing.differences(&ready);
    let kinds: Vec<_> = differences.iter().map(|d| (d.kind, d.recorded)).collect();
    assert_eq!(kinds, [("broadcast", None), ("halt", None)]);
    assert_eq!(differences[1].found, "Some(\"why\")");
    assert_eq!(Outputs::of(&ready).differences(&ready), []);
}

#[test]
fn a_job_that_was_not_asked_for_or_finds_something_else_is_told() {
    let mut solo = Solo::new();
    solo.held = Some(Vec::new());
    let bundle = solo.bundle(0);
    solo.input(Input::Submit { ticket: 0, bundle });
    let (job, work) = solo.held.take().unwrap().pop().unwrap();
    let output = work.run();
    let told = Told::of(&Input::JobDone { job, output: output.clone() });
    assert_eq!(told.clone().into_input(|_| None).unwrap_err(), Unfit::NotAskedFor(job));
    let other = crate::JobOutput::Verified(Vec::new());
    let unfit = told.clone().into_input(|_| Some(other)).unwrap_err();
    assert_eq!(unfit, Unfit::OtherOutput { job, found: "Verified([])".into() });
    assert!(told.into_input(|_| Some(output)).is_ok());
}
