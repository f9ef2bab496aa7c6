//! What validators tell their subscribers, and which oracle judges it.

use conclave_sequencer::Event;
use conclave_types::{
    Batch, BlockHeader, Digest, Epoch, Outcome, RevealedBlock, RevealedBundle, Time,
    UndecryptableReason,
};

use super::{Check, Closing, Oracle, SLASHED, TIMELY, ensure, order};

impl Oracle {
    /// A validator tells its subscribers something.
    pub(crate) fn event(&mut self, now: Time, node: u16, event: &Event) {
        if self.honest.contains(&node) {
            self.posted.told(now, node, event);
            let check = self.told(now, node, event);
            self.note(check);
        }
    }

    fn told(&mut self, now: Time, node: u16, event: &Event) -> Check {
        match event {
            Event::Decided { header, block, l1_entries, bundles, certificate } => {
                self.trace_event(now, node, "decided", block.as_bytes());
                self.queue.decided(header, l1_entries)?;
                self.chain.decided(node, header.height, *block, bundles)?;
                self.payers.decided(header, l1_entries, bundles, self.closing(header))?;
                ensure(header.time <= now.after(self.ahead_max), TIMELY, || {
                    format!("height {}: a block of {} at {now}", header.height, header.time)
                })?;
                self.chain.builds_on(header)?;
                self.committees.decided(certificate)?;
                let round = certificate.round.as_u32();
                self.inclusion.decided(header, bundles, round, &self.committees, &self.payers)?;
                self.left_over(node, header)
            }
            Event::Revealed { block, batches, digest } => {
                self.revealed(now, node, block, batches, *digest)
            }
            Event::Equivocation(evidence) => {
                self.count("equivocations");
                let offender = evidence.offender().as_u16();
                self.accuses(offender);
                ensure(!self.honest.contains(&offender), SLASHED, || {
                    format!("evidence against honest validator {offender}: {evidence:?}")
                })?;
                self.accountability.convicted(node, evidence)
            }
            Event::StrayShares { validator, height } | Event::WrongShares { validator, height } => {
                let is_stray = matches!(event, Event::StrayShares { .. });
                self.count(if is_stray { "stray_shares_kept" } else { "wrong_shares" });
                // L1 knows the keys of epochs that others have ended before.
                if is_stray || self.committees.epoch_of(*height) > Epoch::ZERO {
                    self.accuses(validator.as_u16());
                }
                if is_stray {
                    self.accountability.kept_stray(node, validator.as_u16());
                }
                ensure(!self.honest.contains(&validator.as_u16()), SLASHED, || {
                    format!("validator {node}: honest validator {validator} at height {height}")
                })
            }
            Event::Committed(_)
            | Event::Certified(_)
            | Event::Misattested { .. }
            | Event::DoubleAttestation(_) => self.settles(node, event),
            Event::Keys { height, change } => self.keys_changed(now, node, *height, change),
            Event::L1Contradicted { .. } | Event::L1Refused { .. } => {
                let is_refusal = matches!(event, Event::L1Refused { .. });
                self.count(if is_refusal { "l1_refused" } else { "l1_contradicted" });
                Ok(())
            }
            Event::Anomaly { height, detail } => {
                self.count("anomalies");
                self.trace_event(now, node, detail, &height.as_u64().to_be_bytes());
                Ok(())
            }
            Event::Round { height, round, proposer } => {
                if self.is_led_by(proposer.as_u16()) {
                    self.liveness.led(*height, round.as_u32());
                }
                if round.as_u32() > 0 {
                    self.count("later_rounds");
                }
                Ok(())
            }
            Event::Admitted { bundle } => {
                self.inclusion.admitted(now, node, *bundle);
                Ok(())
            }
            Event::Returned { height, bundles } => self.returned(now, node, *height, bundles),
        }
    }

    /// Whether a proposer keeps to the protocol, and is on this side.
    fn is_led_by(&self, proposer: u16) -> bool {
        self.honest.contains(&proposer) && self.chain.is_told_by(proposer)
    }

    /// What the fees of an epoch are shared out by.
    pub(super) fn closing(&self, header: &BlockHeader) -> Closing {
        Closing {
            builder: self.committees.number(header.proposer.as_u16()),
            is_last: self.committees.next_after(header.height).is_some(),
        }
    }

    pub(super) fn revealed(
        &mut self,
        now: Time,
        node: u16,
        block: &RevealedBlock,
        batches: &[Batch],
        digest: Digest,
    ) -> Check {
        self.trace_event(now, node, "revealed", digest.as_bytes());
        if self.chain.is_first_reveal(block.height) {
            let opened = u64::try_from(block.bundles.len()).unwrap_or(u64::MAX);
            *self.counters.entry("revealed_bundles").or_default() += opened;
            let unopenable = |it: &&RevealedBundle| {
                it.outcome == Outcome::Undecryptable(UndecryptableReason::BadCiphertext)
            };
            let unopenable = block.bundles.iter().filter(unopenable).count();
            *self.counters.entry("unopenable_bundles").or_default() +=
                u64::try_from(unopenable).unwrap_or(u64::MAX);
            self.payers.opened(block)?;
            self.queue.revealed(block)?;
            order::drawn(block, &self.payers)?;
            self.escapes.revealed(block.height, &block.bundles);
        }
        self.chain.revealed(node, block, digest)?;
        let next = self.committees.next_after(block.height);
        let payouts = self.payers.payouts(block.height);
        self.settlement.revealed(node, block, batches, next, payouts)?;
        self.liveness.revealed(block.height);
        order::sliced(block, batches)?;
        batches.iter().try_for_each(|batch| self.chain.batch(node, batch))
    }
}
