//! Every built-in scenario holds, over the seeds that fit in a minute; the rest is a sweep's business.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong stops")]

mod cli;
mod determinism;
mod manual;
mod replay;
mod scenarios;
