//! What each operation costs one validator, beside `threshold_crypto` and `blsttc` in the same run; and what a
//! sharing of the key costs.
//!
//! ```text
//! cargo bench -p conclave-encryption                 everything, some minutes
//! cargo bench -p conclave-encryption -- --quick      n = 4, 16, 100 and one size of blocks: about a minute
//! cargo bench -p conclave-encryption -- 16 64        these n
//! cargo bench -p conclave-encryption -- dkg 16 100   the sharings alone
//! cargo bench -p conclave-encryption -- wrongly      bundles that were sealed wrongly alone
//! ```
//!
//! On one thread, in processor time, which other work on the machine lengthens less than time by the clock; the least
//! of three times (a sender's work and the sharings: once). Only "all cores" goes by the clock. The columns:
//!
//! | column | of one ciphertext of a block of B, in ms |
//! |---|---|
//! | encrypt | a sender's work |
//! | admit | decode and prove: points, the subgroup for u, proofs, all B in one batch |
//! | share | prepare a block whose bundles were admitted, and one validator's shares of it |
//! | combine | open out of t validators' shares, all of the block by one validator, to seeds where there are any |
//! | check | the openings of the block: seeds each by itself and in one sum, points each in the subgroup and in one pairing equation |
//! | open | decrypt |
//! | after | what a validator does after the decision if all open cooperatively: share + combine / n + check + open |
//! | alone | the same if nobody shows it anything: share + combine + check + open |
//! | blame | judge the shares of one validator |
//! | all cores | how much faster all cores together are than one, each with a block of its own |
//! | sent, received | bytes; received are n − 1 shares and, in brackets, openings shown by three validators, by two from n = 64 on |
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::float_arithmetic,
    reason = "a benchmark prints what it timed, and stops at the first surprise"
)]

#[path = "suites/ours.rs"]
mod ours;
#[path = "suites/peers.rs"]
mod peers;
#[path = "suites/sharing.rs"]
mod sharing;
#[path = "suites/wrongly.rs"]
mod wrongly;

use std::time::{Duration, Instant};

use conclave_encryption::Suite;

const PARTIES: [usize; 5] = [4, 16, 31, 64, 100];
const BUNDLES: [usize; 4] = [1, 32, 128, 512];
const QUICK_PARTIES: [usize; 3] = [4, 16, 100];
const QUICK_BUNDLES: [usize; 1] = [512];
/// Blocks of the baseline, whose costs do not fall with B, are no larger than this in a quick run.
const QUICK_BASELINE_BUNDLES: usize = 32;
/// Bytes of the transaction in every bundle: a body of 1 KiB.
const PAYLOAD_BYTES: usize = 900;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let chosen: Vec<usize> =
        arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let quick = has("--quick");
    let parties = match (chosen.is_empty(), quick) {
        (false, _) => chosen,
        (true, true) => QUICK_PARTIES.to_vec(),
        (true, false) => PARTIES.to_vec(),
    };
    println!("{}", machine());
    if has("wrongly") {
        return wrongly::print(&parties);
    }
    if !has("dkg") {
        let bundles = if quick { QUICK_BUNDLES.to_vec() } else { BUNDLES.to_vec() };
        ciphertexts(&parties, &bundles, quick);
        wrongly::print(&parties);
    }
    sharing::print(&parties);
}

/// What one ciphertext costs, in milliseconds.
struct Costs {
    scheme: &'static str,
    /// Ciphertexts of the block; none where each is for itself.
    bundles: Option<usize>,
    encrypt: f64,
    admit: f64,
    share: f64,
    combine: f64,
    check: f64,
    open: f64,
    /// Whether what one validator has combined serves the others.
    cooperative: bool,
    blame: f64,
    /// Bytes of one validator's shares.
    sent: f64,
    /// Bytes of openings that a validator is shown.
    shown: f64,
    /// How much faster all cores together are than one.
    speed_up: Option<f64>,
}

impl Costs {
    fn alone(&self) -> f64 {
        self.share + self.combine + self.check + self.open
    }

    fn after(&self, parties: f64) -> f64 {
        let combine = if self.cooperative { self.combine / parties } else { self.combine };
        self.share + combine + self.check + self.open
    }

    fn print(&self, parties: usize) {
        let count = number(parties);
        println!(
            "{parties:>4} {:<16} {:>4} | {:>7.3} {:>7.3} | {:>7.3} {:>7.3} {:>7.3} {:>7.3} {:>7.3} {:>7.3} | {:>7.3} | \
             {:>5.0} {:>6.0} ({:>3.0}) | {}",
            self.scheme,
            self.bundles.map_or_else(|| "any".to_owned(), |bundles| bundles.to_string()),
            self.encrypt,
            self.admit,
            self.share,
            self.combine,
            self.check,
            self.open,
            self.after(count),
            self.alone(),
            self.blame,
            self.sent,
            self.sent * (count - 1.0),
            self.shown,
            self.speed_up.map_or_else(|| "–".to_owned(), |times| format!("{times:.2}")),
        );
    }
}

fn ciphertexts(parties: &[usize], bundles: &[usize], quick: bool) {
    println!("ms and bytes for one ciphertext of 1 KiB and one validator, one thread");
    println!(
        "{:>4} {:<16} {:>4} | {:>7} {:>7} | {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} | {:>7} | {:>5} {:>12} | all cores",
        "n",
        "scheme",
        "B",
        "encrypt",
        "admit",
        "share",
        "combine",
        "check",
        "open",
        "after",
        "alone",
        "blame",
        "sent",
        "received",
    );
    for parties in parties {
        for bundles in bundles {
            ours::measure(Suite::Packed, *parties, *bundles).print(*parties);
        }
        for bundles in bundles {
            let bundles = if quick { QUICK_BASELINE_BUNDLES } else { *bundles };
            ours::measure(Suite::Baseline, *parties, bundles).print(*parties);
        }
        peers::threshold_crypto(*parties).print(*parties);
        peers::blsttc(*parties).print(*parties);
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{} × {cores}, load average at the start {load}", model.unwrap_or("unknown processor"))
}

/// Runs `work` and says how many milliseconds of processor time fall to one of `count`.
fn timed<T>(count: usize, work: impl FnOnce() -> T) -> (T, f64) {
    let start = processor_time();
    let result = work();
    let spent = processor_time().saturating_sub(start);
    (result, spent.as_secs_f64() * 1e3 / number(count))
}

/// The same by the clock.
fn clocked<T>(count: usize, work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64() * 1e3 / number(count))
}

/// What this thread has had of a processor. The kernel brings the figure up to date when the thread yields.
fn processor_time() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// The least of three times.
fn least<T>(count: usize, mut work: impl FnMut() -> T) -> (T, f64) {
    let first = timed(count, &mut work);
    (0..2).fold(first, |(_, least), _| {
        let (result, time) = timed(count, &mut work);
        (result, time.min(least))
    })
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
