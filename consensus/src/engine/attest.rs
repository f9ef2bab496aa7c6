//! Attesting what was decided: not a step of consensus, but under the same mark as all that a validator signs.

use conclave_types::Height;

use super::Engine;
use crate::{interface::Output, record::Attested};

impl Engine {
    /// Whether the node attests a decided block. Unlike a vote, an attestation is not of the height in progress.
    /// Whether its history is that which it is bound by ([`Engine::attested`]), the caller knows.
    #[must_use]
    pub fn may_attest(&self, height: Height) -> bool {
        self.shell.signer.may_attest(height)
    }

    /// The newest commitment that the node has attested, or may have: it attests no other history in that epoch.
    #[must_use]
    pub const fn attested(&self) -> Option<Attested> {
        self.shell.signer.attested()
    }

    /// The node attests a decided block: what must be durable together with the attestation.
    pub fn attests(&mut self, what: Attested) -> Vec<Output> {
        let mut records = Vec::new();
        self.shell.signer.attests(what, &mut records);
        records.into_iter().map(Output::Persist).collect()
    }
}
