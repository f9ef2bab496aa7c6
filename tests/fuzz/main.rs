//! Every decoder that the network, a client or an operator reaches, under hostile bytes.
//!
//! A target takes bytes and must return; what it accepts it must be able to write back, and where an
//! encoding is canonical, as the same bytes (two encodings of one value would be two ids for it).
//! Inputs are valid encodings, mutated by a generator with a fixed seed, so that a run in CI is the
//! same everywhere. `make fuzz` runs more cases from a fresh seed; a failure names the seed and
//! the case, and the case's bytes, which belong into [`regressions`] once it is mended.

mod api;
mod borsh_bytes;
mod frames;
mod json_rpc;
mod messages;
mod mutate;
mod recording;
mod regressions;
mod requests;
mod samples;
mod sealed;
mod sharing;
mod text;

use mutate::Mutator;

/// Cases for each target unless `FUZZ_CASES` says otherwise; all targets together take seconds.
const CASES: u64 = 20_000;

/// A number from the environment, for runs longer than CI's.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// Runs `target` over mutations of `corpus`, and over the corpus itself.
#[track_caller]
fn fuzz(name: &str, corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    fuzz_cases(name, corpus, setting("FUZZ_CASES", CASES), target);
}

/// The same with a twentieth of the cases, for targets that compute pairings.
#[track_caller]
fn fuzz_slow(name: &str, corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    fuzz_cases(name, corpus, setting("FUZZ_CASES", CASES).div_ceil(20), target);
}

#[track_caller]
fn fuzz_cases(name: &str, corpus: &[Vec<u8>], cases: u64, target: impl Fn(&[u8])) {
    let seed = setting("FUZZ_SEED", 1);
    for bytes in corpus {
        target(bytes);
    }
    let mut mutator = Mutator::new(seed, corpus);
    for case in 0..cases {
        let bytes = mutator.next();
        let run = std::panic::AssertUnwindSafe(|| target(&bytes));
        if std::panic::catch_unwind(run).is_err() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{name}: FUZZ_SEED={seed}, case {case}, {} bytes: {hex}", bytes.len());
        }
    }
}
