//! Engines on a virtual network: one process, one thread, no clock, everything from a seed.
#![expect(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong stops"
)]

mod agreement;
mod committees;
mod crashes;
mod evidence;
mod hostile;
mod net;
