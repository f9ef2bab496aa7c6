//! Runs the shipped protocol core of every validator in one thread, on virtual time, from one seed.
//!
//! Nothing that runs in production is replaced but what a shell owns: clock, network, disk and CPU
//! pool. So a fault that a run survives is one that the shipped code survives, and a fault that breaks
//! it can be played again from its seed.
//!
//! ```text
//! scenario + seed ─▶ world ─┬─ disk, network, load, adversary
//!                           ├─ Sequencer × n (the crate that the node ships)
//!                           └─ oracle ─▶ verdict, trace hash, counters
//! ```

mod random;
mod scenario;
mod disk;
mod network;
mod load;
mod adversary;
mod oracle;
mod world;

pub use adversary::Adversary;
pub use disk::Disk;
pub use load::Load;
pub use network::{Network, NetworkModel, Partition};
pub use oracle::{Oracle, Violation};
pub use random::Random;
pub use scenario::{Behaviour, Byzantine, Crash, Loss, Scenario};
pub use world::{Outcome, World};
