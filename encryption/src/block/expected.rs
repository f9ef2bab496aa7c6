//! The side of a check's equation that needs no openings: Σ ρᵢ·uᵢ over the bundles of each part of a block.
//!
//! A block's ciphertexts are known when it is proposed, its openings only some time after it was decided. With the weights ρ
//! drawn ahead, what is left then is to add up the openings themselves.
//!
//! **Invariants.** The weights come from a secret of this node and the block, and are told to nobody: `Debug` leaves them out.
//! They serve a part once in an equation. Whoever makes openings
//! knows no more of them than if they were drawn afterwards: of two wrong openings that cancel for one choice of weights in 2¹²⁸,
//! none can be told from outside. That a check failed tells its author as little.

use std::{fmt, ops::Range};

use blstrs::G1Projective;
use conclave_types::digest::Hasher;

use super::SealedBlock;
use crate::{curve::weighted_sum, field::weights};

/// One part's.
pub(super) struct Expected {
    sub_batches: Range<usize>,
    /// ρ, one for each bundle of the part.
    pub(super) weights: Vec<u128>,
    /// Σ ρᵢ·uᵢ over these.
    pub(super) sum: G1Projective,
}

/// Without the weights.
impl fmt::Debug for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Expected({:?})", self.sub_batches)
    }
}

impl SealedBlock {
    /// Does now what checks of these parts need but their openings. `seed` as in [`SealedBlock::check`]; a part is as if it
    /// were not named if there is none such.
    #[must_use]
    pub fn expecting(mut self, parts: &[Range<usize>], seed: &[u8; 32]) -> Self {
        let mut transcript: Hasher = self.transcript("conclave/expected-weights/v1", seed);
        for part in parts {
            transcript.u64(part.start as u64).u64(part.end as u64);
        }
        let bundles = parts.iter().map(|part| self.bundle_range(part));
        let entries: Vec<_> = bundles.map(|range| self.entries.get(range)).collect();
        let count = entries.iter().flatten().map(|entries| entries.len()).sum();
        let mut weights = weights(transcript.finish(), count).into_iter();
        let pairs = parts.iter().zip(entries).filter_map(|(part, entries)| Some((part, entries?)));
        self.expected = pairs
            .map(|(part, entries)| {
                let weights: Vec<u128> = weights.by_ref().take(entries.len()).collect();
                let sum = weighted_sum(entries, &weights);
                Expected { sub_batches: part.clone(), weights, sum }
            })
            .collect();
        self
    }

    /// What was computed ahead for exactly these sub-batches.
    pub(super) fn expected(&self, sub_batches: &Range<usize>) -> Option<&Expected> {
        self.expected.iter().find(|expected| expected.sub_batches == *sub_batches)
    }
}

#[cfg(test)]
impl SealedBlock {
    /// The same with wrong sums, to see where they are used.
    pub(crate) fn with_sums_ahead_off(mut self) -> Self {
        use group::Group as _;
        self.expected.iter_mut().for_each(|expected| expected.sum += G1Projective::generator());
        self
    }

    /// All weights that were drawn ahead.
    pub(crate) fn weights_ahead(&self) -> Vec<u128> {
        self.expected.iter().flat_map(|expected| expected.weights.clone()).collect()
    }
}
