//! The production shell: everything around the protocol core that touches the world.
//!
//! ```text
//!   config · genesis · keys            one process: node
//!        │
//!  network (libp2p) ──▶ driver (one thread: core + store) ◀── rpc (gRPC)
//!                          │ persist ▸ send · jobs · serve       │ reads
//!                          ▼                                     ▼
//!                       store (RocksDB, signer.state) ◀──────────┘        metrics · logging
//! ```
//!
//! **Invariants.** Only the driver steps the core and writes to the store. Nothing leaves the process
//! before it is durable. Every queue has a bound. A node that cannot write stops and says why.

pub mod config;
pub mod driver;
pub mod errors;
pub mod essential;
pub mod genesis;
pub mod keys;
pub mod l1;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod node;
pub mod process;
pub mod rekey;
pub mod rpc;
pub mod store;
