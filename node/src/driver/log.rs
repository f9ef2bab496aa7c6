//! What happened in the core, as log lines: progress for who watches, faults for who has to act.

use conclave_sequencer::Event;

#[expect(clippy::cognitive_complexity, reason = "what the macros of tracing expand to")]
pub(super) fn progress(event: &Event) {
    match event {
        Event::Round { height, round, proposer } => {
            tracing::debug!(%height, %round, %proposer, "round");
        }
        Event::Decided { header, block, l1_entries, bundles, certificate } => tracing::info!(
            height = %header.height,
            block = %block.short(),
            l1_entries = l1_entries.len(),
            bundles = bundles.len(),
            round = %certificate.round,
            proposer = %header.proposer,
            "decided"
        ),
        Event::Revealed { block, batches, digest } => tracing::info!(
            height = %block.height,
            bundles = block.bundles.len(),
            batches = batches.len(),
            digest = %digest.short(),
            "revealed"
        ),
        Event::Keys { height, change } => tracing::info!(%height, ?change, "keys"),
        Event::Returned { height, bundles } => {
            tracing::info!(%height, bundles = bundles.len(), "returned with the end of their era");
        }
        Event::Certified(certificate) => tracing::info!(
            height = %certificate.commitment.height,
            signers = certificate.signers.len(),
            epoch_end = certificate.commitment.epoch_end.is_some(),
            "certified"
        ),
        Event::Admitted { .. }
        | Event::Committed(_)
        | Event::Misattested { .. }
        | Event::DoubleAttestation(_)
        | Event::Equivocation(_)
        | Event::StrayShares { .. }
        | Event::WrongShares { .. }
        | Event::L1Refused { .. }
        | Event::L1Contradicted { .. }
        | Event::Anomaly { .. } => {}
    }
}

#[expect(clippy::cognitive_complexity, reason = "what the macros of tracing expand to")]
pub(super) fn fault(event: &Event) {
    match event {
        Event::Equivocation(evidence) => {
            tracing::warn!(?evidence, "a validator contradicted itself; the evidence is kept");
        }
        Event::StrayShares { height, validator } => {
            tracing::warn!(%height, %validator, "a validator shared a block that is not the chain's; the evidence is kept");
        }
        Event::WrongShares { height, validator } => {
            tracing::warn!(%height, %validator, "a validator sent wrong shares");
        }
        Event::Misattested { height, validator } => {
            tracing::warn!(%height, %validator, "a validator attested another commitment than the chain's");
        }
        Event::DoubleAttestation(evidence) => {
            tracing::warn!(?evidence, "validators attested two commitments; the evidence is kept");
        }
        Event::L1Refused { origin, reason } => {
            tracing::warn!(number = origin.number, %reason, "an L1 block was not taken");
        }
        Event::L1Contradicted { height, chain, observed } => {
            let (decided, observed) = (chain.hash, observed.hash);
            tracing::error!(%height, number = chain.number, %decided, %observed, "this node's L1 is not the chain's");
        }
        Event::Anomaly { height, detail } => {
            tracing::warn!(%height, detail, "consensus reported an anomaly");
        }
        Event::Admitted { .. }
        | Event::Round { .. }
        | Event::Decided { .. }
        | Event::Returned { .. }
        | Event::Keys { .. }
        | Event::Committed(_)
        | Event::Certified(_)
        | Event::Revealed { .. } => {}
    }
}
