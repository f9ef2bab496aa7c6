//! Attesting what was decided: not a step of consensus, but under the same mark as all that a validator signs.

use conclave_types::Height;

use super::Engine;
use crate::interface::Output;

impl Engine {
    /// Whether the node attests a decided block. Unlike a vote, an attestation is not of the height in progress.
    #[must_use]
    pub fn may_attest(&self, height: Height) -> bool {
        self.shell.signer.may_attest(height)
    }

    /// The node attests a decided block: what must be durable together with the attestation.
    pub fn attested(&mut self, height: Height) -> Vec<Output> {
        let mut records = Vec::new();
        self.shell.signer.attested(height, &mut records);
        records.into_iter().map(Output::Persist).collect()
    }
}
