//! Recordings: files that researchers get from strangers.

use conclave_sequencer::{
    JobNumber, LostState, Message, Peer, Posted, SecretName, SettledOnL1, Table,
    recording::{Ending, Entry, MAGIC, Outputs, Reader, Start, Step, Stored, Told},
};
use conclave_types::{Digest, Epoch, Height, Time, ValidatorIndex};

use crate::{borsh_bytes::canonical, fuzz, samples};

fn entries() -> Vec<Entry> {
    let outputs = Outputs { writes: Some(Digest::new([3; 32])), ..Outputs::default() };
    let step = |told| Entry::Step(Box::new(Step { now: Time::from_micros(7), told, outputs }));
    let peer = Peer::Validator(ValidatorIndex::new(2));
    let start = Start {
        genesis: samples::genesis(),
        validator: Some(ValidatorIndex::new(1)),
        attests: true,
        has_share: true,
        lost_state: Some(LostState {
            seen: Height::new(5),
            settled: SettledOnL1 { height: Height::new(3), root: Digest::new([4; 32]) },
        }),
        seed: [9; 32],
        now: Time::from_micros(6),
        high_water: None,
        secrets: vec![SecretName::Share { epoch: Epoch::new(1), point: 2 }],
    };
    let committee = samples::genesis().members.into_iter();
    let posted = Posted {
        certificate: samples::settlement_certificate(),
        ours: samples::commitment(),
        committee: (0..).map(ValidatorIndex::new).zip(committee).collect(),
        binding: Some(samples::settlement_certificate()),
    };
    vec![
        Entry::Start(Box::new(start)),
        Entry::Stored(Stored { table: Table::Meta, key: vec![1], value: vec![2; 40] }),
        Entry::Recovered(Box::new(outputs)),
        step(Told::Tick),
        step(Told::Message { from: peer, message: Message::WantDecided { from: Height::new(4) } }),
        step(Told::PeerUp(Peer::Full(3))),
        step(Told::PeerDown(peer)),
        step(Told::Submit { ticket: 5, bundle: samples::bundle(272) }),
        step(Told::JobDone { job: JobNumber::default(), output: Digest::new([4; 32]) }),
        step(Told::Posted(Box::new(posted))),
        Entry::End(Ending::Stopped),
    ]
}

#[test]
fn recording() {
    let frames = entries().iter().flat_map(|entry| entry.frame().expect("short")).collect();
    let corpus = [[MAGIC.to_vec(), frames].concat()];
    fuzz("recording", &corpus, |bytes| {
        let Ok(mut reader) = Reader::new(bytes) else { return };
        let mut read = MAGIC.len();
        while let Ok(Some(entry)) = reader.next_entry() {
            let frame = entry.frame().expect("what was read has room");
            assert_eq!(bytes[read..][..frame.len()], frame, "two encodings of one entry");
            read += frame.len();
        }
    });
}

#[test]
fn recorded_entry() {
    // Behind the checksum, which no mutation would pass.
    let corpus: Vec<_> = entries().iter().map(|e| borsh::to_vec(e).expect("writes")).collect();
    fuzz("recorded entry", &corpus, |bytes| {
        if let Some(Entry::Step(step)) = canonical::<Entry>(bytes) {
            assert!(!step.told.to_string().is_empty());
        }
    });
}
