//! What a job or its result says of itself, in an error or a log: never what nobody may know yet.

use conclave_types::digest::Hasher;

use super::*;
use crate::testing::Solo;

/// As `Debug` would print a run of these bytes, in each form that it has, without white space; ids and points are
/// shortened to their first four.
fn needles(secret: &[u8]) -> [String; 4] {
    let run = &secret[3..11];
    let list = |each: fn(&u8) -> String| run.iter().map(each).collect::<Vec<_>>();
    [
        list(|byte| format!("{byte:02x}")).concat(),
        list(u8::to_string).join(","),
        list(|byte| format!("0x{byte:02x}")).join(","),
        secret[..4].iter().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

fn shown(value: &impl fmt::Debug) -> String {
    format!("{value:?}{value:#?}").split_whitespace().collect()
}

/// Seeds that a process draws one after the other, from the seed of a [`Solo`].
fn seeds() -> Vec<Vec<u8>> {
    let seed =
        |number: u64| Hasher::new("conclave/batch-seed/v1").fixed(&[9; 32]).u64(number).finish();
    (1..=64).map(|number| seed(number).as_bytes().to_vec()).collect()
}

#[test]
fn no_job_of_a_block_shows_a_secret_a_seed_or_a_share() {
    let mut solo = Solo::of(4, 1);
    solo.held = Some(vec![]);
    for sequence in 0..3 {
        let bundle = Arc::new(solo.bundle(sequence));
        solo.hear(0, crate::Message::Bundles(vec![bundle]));
    }
    let (mut texts, mut kinds, mut secrets) = (Vec::new(), Vec::new(), seeds());
    let mut work = |solo: &mut Solo| {
        while let Some((number, job)) = solo.held.as_mut().unwrap().pop() {
            kinds.push(job.kind());
            texts.push(shown(&job));
            if let Job::Share(ShareJob { secrets: Some(own), .. })
            | Job::ShareAlone(ShareAloneJob { secrets: own, .. }) = &job
            {
                secrets.extend(own.points.iter().map(|(_, share)| share.to_bytes().to_vec()));
            }
            let output = job.run();
            texts.push(shown(&output));
            if let JobOutput::Shared(SharedBlock { shares: Some(shares), .. }) = &output {
                secrets.extend(shares.iter().map(|share| share.as_bytes().to_vec()));
            }
            if let JobOutput::SharedAlone(lone) = &output {
                let shares = lone.shares.iter().flat_map(|(_, shares)| shares);
                secrets.extend(shares.map(|share| share.as_bytes().to_vec()));
            }
            solo.input(crate::Input::JobDone { job: number, output });
        }
    };
    work(&mut solo);
    solo.run_to_proposal();
    work(&mut solo);
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["share", "share_alone", "verify"]);
    assert!(secrets.len() > 64 + 4);
    let forms: Vec<String> = secrets.iter().flat_map(|secret| needles(secret)).collect();
    for text in &texts {
        let found = forms.iter().find(|form| text.contains(*form));
        assert_eq!(found, None, "{text}");
    }
}

#[test]
fn what_is_looked_for_would_be_found() {
    let secret = [7_u8, 1, 2, 250, 4, 5, 6, 7, 8, 9, 10, 11];
    let [hex, list, _, short] = needles(&secret);
    assert!(shown(&secret).contains(&list));
    let digest = Digest::new([&secret[..], &[0; 20]].concat().try_into().unwrap());
    assert!(digest.to_string().contains(&hex));
    assert!(shown(&digest).contains(&short));
}
