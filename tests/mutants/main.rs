//! `conclave-mutants [NAME…]`: builds each mutant and shows that the oracle which should see it does.
//!
//! ```text
//! the clone ─ copy ─▶ a workspace of the simulator's crates alone ─ patch ─▶ build ─▶ seeds ─ seen? ─▶ restore
//! ```
//!
//! The copy lies under the target directory, so that building is incremental from mutant to mutant and
//! from run to run, and no mutant can be mistaken for the real thing.

mod workspace;

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use conclave_tests::mutation::{LIVENESS, Mutant};

use workspace::Copy;

/// Seeds within which a mutant must be seen.
const SEEDS: u64 = 100;

fn main() -> ExitCode {
    let root = conclave_tests::workspace_root();
    let wanted: BTreeSet<String> = std::env::args().skip(1).collect();
    let all = Mutant::load_all(root);
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|m| m.name == **name)) {
        eprintln!("there is no mutant {unknown}; there are:");
        all.iter().for_each(|mutant| eprintln!("  {:<24} {}", mutant.name, mutant.guard));
        return ExitCode::from(2);
    }
    let copy = Copy::make(root, &all);
    if let Err(complaint) = copy.build() {
        eprintln!("the core does not build without any patch:\n{complaint}");
        return ExitCode::FAILURE;
    }
    copy.keep_unpatched();
    println!("{:<24} {:<22} {:>8} {:>6} seen as", "mutant", "scenario", "seconds", "seed");
    let mut survivors = 0;
    for mutant in all.iter().filter(|m| wanted.is_empty() || wanted.contains(&m.name)) {
        let started = Instant::now();
        let fate = copy.with(mutant, || fate(copy.binary(), mutant));
        let fate = confirmed(fate, copy.unpatched(), mutant);
        survivors += usize::from(!fate.is_seen);
        let seed = fate.seed.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
        let (name, scenario) = (&mutant.name, &mutant.scenario);
        let seconds = started.elapsed().as_secs();
        println!("{name:<24} {scenario:<22} {seconds:>8} {seed:>6} {}", fate.words);
    }
    if survivors > 0 {
        eprintln!("{survivors} not seen as they should be: an oracle is blind");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What became of a mutant.
struct Fate {
    is_seen: bool,
    seed: Option<u64>,
    words: String,
}

impl Fate {
    fn unseen(words: String) -> Self {
        Self { is_seen: false, seed: None, words }
    }
}

/// Runs the mutant from one seed after another until something is seen, on all cores. It is what the lowest of these seeds
/// shows, whichever ends first: every lower one has begun by then, and is waited for.
fn fate(binary: &Path, mutant: &Mutant) -> Fate {
    let next = AtomicU64::new(0);
    let seen: Mutex<Option<Fate>> = Mutex::new(None);
    let stop = || seen.lock().expect("no thread panics while it holds this").is_some();
    let work = || {
        while !stop() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                break;
            }
            if let Some(fate) = judge(mutant, seed, &run(binary, mutant, seed)) {
                let mut first = seen.lock().expect("no thread panics while it holds this");
                if first.as_ref().is_none_or(|first| fate.seed < first.seed) {
                    *first = Some(fate);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let seen = seen.into_inner().expect("no thread panicked");
    seen.unwrap_or_else(|| Fate::unseen(format!("NOTHING in {SEEDS} seeds")))
}

/// What the unpatched core shows as well is no sign of the mutant.
fn confirmed(fate: Fate, unpatched: &Path, mutant: &Mutant) -> Fate {
    let Some(seed) = fate.seed.filter(|_| fate.is_seen) else { return fate };
    let report = run(unpatched, mutant, seed);
    if report["verdict"] == "held" {
        return fate;
    }
    Fate { is_seen: false, words: format!("{report}, WITHOUT the patch too"), ..fate }
}

fn run(binary: &Path, mutant: &Mutant, seed: u64) -> serde_json::Value {
    let output = Command::new(binary)
        .args(["run", &mutant.scenario, "--json", "--seed", &seed.to_string()])
        .output()
        .expect("the simulator runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        serde_json::json!({ "verdict": "none", "detail": format!("{error}: {complaint}") })
    })
}

/// What a report says of the mutant; none if it says that all is well.
fn judge(mutant: &Mutant, seed: u64, report: &serde_json::Value) -> Option<Fate> {
    let verdict = report["verdict"].as_str().unwrap_or("none");
    let detail = report["detail"].as_str().unwrap_or_default();
    let is_seen = match verdict {
        // What the scenario is about did not happen: nothing is shown by that.
        "held" | "not_shown" => return None,
        "liveness" => mutant.promise == LIVENESS,
        "safety" | "stopped" => {
            detail.strip_prefix(&mutant.promise).is_some_and(|rest| rest.starts_with(": "))
        }
        _ => false,
    };
    let brief: String = detail.chars().take(120).collect();
    let words = if is_seen {
        mutant.promise.clone()
    } else {
        format!("{verdict}, EXPECTED {}: {brief}", mutant.promise)
    };
    Some(Fate { is_seen, seed: Some(seed), words })
}
