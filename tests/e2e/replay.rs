//! No rule of the protocol lives in a shell: what a validator's process was told over sockets, by a clock and from
//! a disk, the simulator tells another core, which does the same, byte for byte.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::{
    Message,
    recording::{Entry, MAGIC, Reader, Told},
};
use conclave_types::SignatureBytes;
use serde_json::Value;

use crate::harness::{
    load::Load,
    network::{Network, PATIENCE},
    process::{binary, complaint},
    wait::until,
};

/// Who is recorded.
const RECORDED: usize = 2;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

fn replay(recording: &Path, validator: &Path) -> Output {
    let mut command = Command::new(binary("conclave-sim"));
    command.args(["replay", text(recording), "--validator-dir", text(validator), "--json"]);
    command.output().expect("conclave-sim runs")
}

/// A replay in which every step was the same.
fn identical(recording: &Path, validator: &Path) -> Value {
    let output = replay(recording, validator);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code();
    assert_eq!(code, Some(0), "{}: {printed}{}", recording.display(), complaint(&output));
    let found: Value = serde_json::from_str(&printed).expect("one JSON object");
    assert_eq!(found["identical"], true, "{printed}");
    assert_eq!(found["difference"], Value::Null, "{printed}");
    assert_eq!(found["validator"], 2, "{printed}");
    found
}

fn number(found: &Value, key: &str) -> u64 {
    found[key].as_u64().unwrap_or_else(|| panic!("{key} of {found}"))
}

/// The recordings in a directory, the oldest first.
fn recordings(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).expect("a directory of recordings");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

/// Waits until the recorded validator has come as far as the others, and signs.
async fn caught_up(network: &Network) {
    let height = network.height(0).await;
    network.wait_height(RECORDED, height).await;
    network.wait_status(RECORDED, "it signs", |status| status.signing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_recorded_validator_did_the_simulator_does_again() {
    let mut network = Network::start().await;
    let directory = network.directory().join("recordings");
    let record = ["--record", text(&directory)];
    let load = Load::start(&network.client);
    // It starts three times: killed twice in the middle of its work, then stopped.
    network.kill(RECORDED);
    for life in 0..3 {
        network.launch_with(RECORDED, &record);
        caught_up(&network).await;
        let height = network.height(RECORDED).await;
        load.wait(40).await;
        network.wait_height(RECORDED, height + 8).await;
        if life < 2 {
            network.kill(RECORDED);
        }
    }
    network.process(RECORDED).signal("TERM");
    assert!(network.ended(RECORDED).await.success(), "it stops cleanly");
    load.stop().await;

    let validator = network.validator_dir(RECORDED);
    let files = recordings(&directory);
    assert_eq!(files.len(), 3, "each life has its recording");
    let (mut steps, mut jobs) = (0, 0);
    for (file, end) in files.iter().zip(["died", "died", "stopped"]) {
        let found = identical(file, &validator);
        assert_eq!(found["end"], end, "{found}");
        let revealed = &found["revealed"];
        assert!(revealed[1].as_u64() > revealed[0].as_u64(), "it took part: {found}");
        steps += number(&found, "steps");
        jobs += number(&found, "jobs");
    }
    assert!(steps > 300 && jobs > 50, "{steps} steps, {jobs} jobs");

    // The recording tells one thing that did not happen, and the replay says which.
    let (changed, step) = forged(&files[1]);
    let forgery = network.directory().join("forged.rec");
    fs::write(&forgery, changed).expect("a file can be written");
    let output = replay(&forgery, &validator);
    assert_eq!(output.status.code(), Some(13), "{}", complaint(&output));
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(found["identical"], false, "{found}");
    assert_eq!(number(&found["difference"], "step"), step, "{found}");
    let outputs = found["difference"]["outputs"].to_string();
    assert!(outputs.contains("a consensus message with a bad signature"), "{found}");

    // Another validator's keys are no keys.
    let output = replay(&files[0], &network.validator_dir(0));
    assert_eq!(output.status.code(), Some(2));
    let said = complaint(&output);
    assert!(said.contains("these keys are not that validator's"), "{said}");
}

/// A recording in which the first vote that is told has a false signature, and the step of that vote.
fn forged(recording: &Path) -> (Vec<u8>, u64) {
    let bytes = fs::read(recording).expect("a recording");
    let mut reader = Reader::new(&bytes[..]).expect("a recording");
    let (mut changed, mut steps, mut forged) = (MAGIC.to_vec(), 0, None);
    while let Some(mut entry) = reader.next_entry().expect("an entry") {
        if let Entry::Step(step) = &mut entry {
            steps += 1;
            if let (None, Told::Message { message, .. }) = (forged, &mut step.told)
                && let Message::Consensus(ConsensusMessage::Vote(vote)) = message
            {
                Arc::make_mut(vote).signature = SignatureBytes::new([7; 64]);
                forged = Some(steps);
            }
        }
        changed.extend(entry.frame().expect("it had room before"));
    }
    (changed, forged.expect("a vote was recorded"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_cannot_go_on_ends_and_the_validator_does_not() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    let ended = "the recording ends, and the node goes on";

    // One whose size is bounded, and soon reached.
    let directory = network.directory().join("recordings");
    network.kill(RECORDED);
    network.launch_with(RECORDED, &["--record", text(&directory), "--record-mb-max", "1"]);
    until("the recording to end", PATIENCE, async || {
        network.log(RECORDED).contains(ended).then_some(())
    })
    .await;
    caught_up(&network).await;
    let [file] = &recordings(&directory)[..] else { panic!("one life, one recording") };
    assert!(fs::metadata(file).expect("a file").len() <= 1 << 20);
    let found = identical(file, &network.validator_dir(RECORDED));
    assert_eq!(found["end"], "full", "{found}");

    // One that has no place at all.
    let no_directory = network.genesis_file().join("recordings");
    network.kill(1);
    network.launch_with(1, &["--record", text(&no_directory)]);
    let height = network.height(0).await;
    network.wait_height(1, height + 3).await;
    network.wait_status(1, "it signs", |status| status.signing).await;
    assert!(network.log(1).contains(ended), "it says that there is no recording");
    load.stop().await;
}
