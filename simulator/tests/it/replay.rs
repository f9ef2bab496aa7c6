//! A recorded validator does the same when it is told the same, and what is not the same is named.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::{
    Config, Entry as StoreEntry, HighWater, Input, Message, SecretBytes, SecretName, Sequencer,
    Store, Table, Write,
    recording::{self, Entry, MAGIC, Reader, Reads, Recorder, Start, Told},
};
use conclave_simulator::{
    Keys, Replay, ReplayError, Scenario, Stop, Tape, builtin, replay, run, run_recorded,
};
use conclave_types::SignatureBytes;
use tempfile::TempDir;

const SEED: u64 = 5;

/// The recordings of a validator's lives, in a directory with its keys.
struct Recorded {
    directory: TempDir,
    files: Vec<PathBuf>,
}

impl Recorded {
    fn of(name: &str, validator: u16, heights: u64) -> Self {
        let scenario = builtin(name).unwrap().scenario().unwrap();
        let scenario = Scenario { heights, expect: [].into(), ..scenario };
        let directory = tempfile::tempdir().unwrap();
        let tape = Tape::new(directory.path(), validator);
        let report = run_recorded(name, &scenario, SEED, Stop::default(), &tape).unwrap();
        assert_eq!(Some(report), run(name, &scenario, SEED), "{name}: recording changes nothing");
        let files = tape.files().unwrap();
        Self { directory, files }
    }

    fn keys(&self) -> Option<Keys> {
        Some(Keys::read(self.directory.path()).unwrap())
    }

    fn replay(&self, bytes: &[u8]) -> Result<Replay, ReplayError> {
        replay(bytes, self.keys())
    }

    fn entries(&self) -> Vec<Entry> {
        let bytes = fs::read(self.files.first().unwrap()).unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }
}

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let frames = entries.iter().flat_map(|entry| entry.frame().unwrap());
    MAGIC.into_iter().chain(frames).collect()
}

#[test]
fn every_life_of_a_recorded_validator_is_the_same_again() {
    // Honest and dishonest peers, lost messages, power cuts, lost databases and a restart from nothing.
    let rows = [
        ("happy-4", 0, 12, 1),
        ("crash-storm", 1, 30, 2),
        ("torn-tail", 1, 30, 2),
        ("lost-database", 1, 30, 2),
        ("wrong-shares", 0, 12, 1),
        ("spam-and-forger", 0, 12, 1),
        ("chaos", 2, 30, 2),
    ];
    for (name, validator, heights, lives) in rows {
        let recorded = Recorded::of(name, validator, heights);
        assert!(recorded.files.len() >= lives, "{name}: {} lives", recorded.files.len());
        let (mut steps, mut jobs, mut revealed) = (0, 0, 0);
        for file in &recorded.files {
            let replayed = recorded.replay(&fs::read(file).unwrap()).unwrap();
            assert_eq!(replayed.difference, None, "{name}: {}", file.display());
            assert!(replayed.identical);
            steps += replayed.steps;
            jobs += replayed.jobs;
            revealed = revealed.max(replayed.revealed[1]);
        }
        assert!(steps > 200 && jobs > 20, "{name}: {steps} steps, {jobs} jobs");
        assert!(revealed >= heights, "{name}: revealed {revealed}");
    }
}

/// A disk that is new, and is never read again.
struct NewDisk;

impl Store for NewDisk {
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

#[test]
fn a_full_node_is_replayed_without_keys() {
    let recorded = Recorded::of("happy-4", 3, 16);
    let entries = recorded.entries();
    let Entry::Start(start) = &entries[0] else { panic!("a recording starts") };
    let genesis = Arc::new(start.genesis.clone());
    let config = Config { genesis, identity: None, seed: [1; 32] };
    let own = Start::new(&config, start.now, None, Vec::new());
    let (core, first) = Sequencer::recover(config, &NewDisk, start.now).unwrap();
    let mut bytes = Vec::new();
    let recorder = Recorder::begin(&mut bytes, 1 << 24, own, Reads::default(), &first).unwrap();
    let mut core = recording::Recorded::new(core, Some(recorder));
    // It hears what the validator heard.
    for entry in entries {
        let Entry::Step(step) = entry else { continue };
        let Told::Message { from, message } = step.told else { continue };
        let mut inputs = vec![Input::Message { from, message }];
        while let Some(input) = inputs.pop() {
            let effects = core.step(step.now, input).persist(&mut NewDisk).unwrap();
            let done = |(job, work): (_, conclave_sequencer::Job)| Input::JobDone {
                job,
                output: work.run(),
            };
            inputs.extend(effects.jobs.into_iter().map(done));
        }
    }
    assert!(core.finish().is_none());
    let replayed = replay(&bytes[..], None).unwrap();
    assert_eq!((replayed.identical, replayed.validator), (true, None), "{replayed:?}");
    assert!(replayed.decided[1] > 1 && replayed.jobs > 4, "{replayed:?}");
}

/// Changes the signature of the first vote that the validator is told. Returns the step's number.
fn forge_vote(entries: &mut [Entry]) -> Option<u64> {
    let mut number = 0;
    for entry in entries {
        let Entry::Step(step) = entry else { continue };
        number += 1;
        let Told::Message { message, .. } = &mut step.told else { continue };
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { continue };
        Arc::make_mut(vote).signature = SignatureBytes::new([7; 64]);
        return Some(number);
    }
    None
}

#[test]
fn an_input_that_is_not_what_it_was_is_named_with_what_it_changes() {
    let recorded = Recorded::of("happy-4", 0, 4);
    let mut entries = recorded.entries();
    let expected = forge_vote(&mut entries).unwrap();
    let replayed = recorded.replay(&bytes(&entries)).unwrap();
    assert!(!replayed.identical);
    let difference = replayed.difference.unwrap();
    assert_eq!(difference.step, expected);
    assert!(difference.told.starts_with("a message of kind consensus from validator "));
    let penalties = difference.outputs.iter().find(|output| output.kind == "penalties").unwrap();
    assert_eq!(penalties.recorded, None, "the real vote was not punished");
    assert!(penalties.found.contains("a consensus message with a bad signature"));
    assert_eq!(replayed.steps, expected - 1);
}

#[test]
fn an_input_that_is_missing_or_early_is_noticed() {
    let recorded = Recorded::of("happy-4", 0, 4);
    let entries = recorded.entries();
    let is_job = |entry: &Entry| matches!(entry, Entry::Step(step) if matches!(step.told, Told::JobDone { .. }));
    let job = entries.iter().position(is_job).unwrap();
    let mut without = entries.clone();
    without.remove(job);
    assert!(!recorded.replay(&bytes(&without)).unwrap().identical);
    let mut twice = entries.clone();
    twice.insert(job, entries[job].clone());
    let difference = recorded.replay(&bytes(&twice)).unwrap().difference.unwrap();
    assert_eq!(difference.outputs[0].kind, "job");
    assert!(difference.outputs[0].found.ends_with("is recorded as done, and was not asked for"));
}

#[test]
fn another_seed_shows_in_the_jobs() {
    let recorded = Recorded::of("happy-4", 0, 4);
    let mut entries = recorded.entries();
    let Entry::Start(start) = &mut entries[0] else { panic!("a recording starts") };
    start.seed = [7; 32];
    let difference = recorded.replay(&bytes(&entries)).unwrap().difference.unwrap();
    let kinds: Vec<_> = difference.outputs.iter().map(|output| output.kind).collect();
    assert_eq!(kinds, ["jobs"]);
}

#[test]
fn a_recording_out_of_order_and_strange_keys_are_refused() {
    let recorded = Recorded::of("happy-4", 0, 3);
    let entries = recorded.entries();
    let refused = |entries: &[Entry]| recorded.replay(&bytes(entries)).unwrap_err();
    assert!(matches!(refused(&entries[1..]), ReplayError::Order { number: 0, .. }));
    assert!(matches!(refused(&entries[..1]), ReplayError::Empty));
    let twice = [&entries[..1], &entries[..]].concat();
    assert!(matches!(refused(&twice), ReplayError::Order { number: 1, .. }));
    let whole = bytes(&entries);
    assert!(matches!(replay(&whole[..], None), Err(ReplayError::NoKeys { .. })));
    let other = Recorded::of("happy-4", 1, 3);
    assert!(matches!(replay(&whole[..], other.keys()), Err(ReplayError::OtherKeys { .. })));
    fs::remove_file(recorded.directory.path().join("share.key")).unwrap();
    assert!(matches!(recorded.replay(&whole), Err(ReplayError::NoShare(_))));
}

#[test]
fn no_order_of_the_entries_makes_the_core_panic() {
    let recorded = Recorded::of("happy-4", 0, 3);
    let entries = recorded.entries();
    for case in 1..40_usize {
        let mut shuffled = entries.clone();
        for step in 1..20 {
            let (a, b) = (case * 7919 * step, case * 104_729 + step * 31);
            // What recovery reads and does stays where it is.
            let first = 3;
            let range = entries.len() - first;
            shuffled.swap(first + a % range, first + b % range);
        }
        match recorded.replay(&bytes(&shuffled)) {
            Ok(_) | Err(ReplayError::Order { .. } | ReplayError::Empty) => {}
            Err(error) => panic!("case {case}: {error}"),
        }
    }
}

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conclave-sim")).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_records_replays_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("recordings");
    let run = sim(&["run", "happy-4", "--heights", "20", "--record", text(&record)]);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let file = record.join("life-0.rec");
    assert!(String::from_utf8_lossy(&run.stdout).contains(text(&file)));

    let replay = |file: &Path| sim(&["replay", text(file), "--validator-dir", text(&record)]);
    let same = replay(&file);
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stderr));
    assert!(String::from_utf8_lossy(&same.stdout).contains("identical: true"));

    let changed = directory.path().join("changed.rec");
    let whole = fs::read(&file).unwrap();
    let mut reader = Reader::new(&whole[..]).unwrap();
    let mut entries: Vec<_> = std::iter::from_fn(|| reader.next_entry().unwrap()).collect();
    forge_vote(&mut entries).unwrap();
    fs::write(&changed, bytes(&entries)).unwrap();
    let other = replay(&changed);
    assert_eq!(other.status.code(), Some(13));
    assert!(String::from_utf8_lossy(&other.stdout).contains("penalties: recorded nothing, found"));

    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    let rows: [(&[u8], &str); 4] = [
        (b"", "this is no recording of a sequencer"),
        (b"CNCLREC\x09 and so on", "the recording has format 9, this program reads 6"),
        (&damaged, "entry 0 of the recording is damaged"),
        (&whole[..9], "entry 0 of the recording is out of place, expected the start"),
    ];
    for (bytes, expected) in rows {
        fs::write(&changed, bytes).unwrap();
        let refused = replay(&changed);
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(expected), "{said}");
    }
    let again = sim(&["run", "happy-4", "--heights", "20", "--record", text(&record)]);
    assert_eq!(again.status.code(), Some(2), "recordings are not overwritten");
}
