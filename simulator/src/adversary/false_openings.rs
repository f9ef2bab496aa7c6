//! Openings that open nothing: asked for, unasked, in parts, and on pages of decided blocks.

use std::sync::Arc;

use conclave_sequencer::{Message, PartialOpening};
use conclave_types::{Opening, SeedBytes};

use super::{Letter, Means, Misbehaviour, means::points};

/// Answers every question about openings with points and seeds that open nothing.
pub(super) struct FalseOpenings;

/// A point of the group, and then seeds and points in turn.
fn wrong(count: usize) -> Vec<Opening> {
    let each = [Opening::Point(points::generator()), Opening::Seed(SeedBytes::new([0x5e; 32]))];
    each.into_iter().cycle().take(count).collect()
}

impl Misbehaviour for FalseOpenings {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        match &letter.message {
            // Its own shares mean that the block is decided: now is the time to be first.
            Message::Shares(shares) => {
                let Some(count) = means.opening_count(&shares.block) else { return vec![letter] };
                means.count("false_openings");
                let (height, block) = (shares.height, shares.block);
                let openings = wrong(count);
                vec![letter.with(Message::Openings { height, block, openings })]
            }
            Message::Openings { height, block, openings } => {
                means.count("false_openings");
                let (height, block) = (*height, *block);
                let openings = wrong(openings.len());
                vec![letter.with(Message::Openings { height, block, openings })]
            }
            Message::Part(part) => {
                means.count("false_parts");
                let mut part = PartialOpening::clone(part);
                part.openings = wrong(part.openings.len());
                vec![letter.with(Message::Part(Arc::new(part)))]
            }
            Message::Decided(blocks) => {
                means.count("false_openings");
                let mut blocks = blocks.clone();
                for block in &mut blocks {
                    let openings = wrong(block.bundles.len().saturating_add(1));
                    Arc::make_mut(block).openings = Some(openings);
                }
                vec![letter.with(Message::Decided(blocks))]
            }
            _ => vec![letter],
        }
    }
}
