//! Starting, watching, killing and judging networks of real processes.

pub(crate) mod http;
pub(crate) mod l1;
pub(crate) mod l1_liar;
pub(crate) mod liar;
pub(crate) mod load;
pub(crate) mod needles;
pub(crate) mod network;
pub(crate) mod oracle;
pub(crate) mod process;
pub(crate) mod rollup;
pub(crate) mod staged;
pub(crate) mod transactions;
pub(crate) mod wait;
