//! Repair of a dealing that a complaint proved wrong only after the key was made, by a recipient that
//! was away.
//!
//! The key stays as it is. The other recipients publish their evaluations of that one dealing, each of
//! which anyone checks against the commitments; c + ℓ of them make its polynomial public, and with it
//! the evaluation that was withheld. Its dealer is corrupt, so nothing is given away that the coalition
//! had not already.

use std::collections::BTreeMap;

use blstrs::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    dkg::proof::ScalarBytes,
    interpolation::{Node, coefficients},
    packing::Packing,
    secret::Secret,
};

/// One evaluation of a dealing that is under repair, in the clear.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Disclosure {
    pub(crate) dealer: u16,
    pub(crate) point: u16,
    pub(crate) value: ScalarBytes,
}

impl Disclosure {
    /// The dealing whose evaluation it is.
    #[must_use]
    pub const fn dealer(&self) -> u16 {
        self.dealer
    }
}

/// The evaluations that were published of one dealing; no more than determine it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repair(BTreeMap<u16, Scalar>);

impl Repair {
    pub(crate) fn insert(&mut self, point: u16, value: Scalar) {
        self.0.insert(point, value);
    }

    pub(crate) fn contains(&self, point: u16) -> bool {
        self.0.contains_key(&point)
    }

    pub(crate) fn is_complete(&self, packing: Packing) -> bool {
        self.0.len() >= usize::from(packing.coefficients())
    }

    /// The evaluation at `point`, once the polynomial is public.
    pub(crate) fn value(&self, packing: Packing, point: u16) -> Option<Secret> {
        if !self.is_complete(packing) {
            return None;
        }
        if let Some(value) = self.0.get(&point) {
            return Some(Secret(*value));
        }
        let nodes: Vec<Node> = self.0.keys().map(|point| Node::of_party(*point)).collect();
        let weights = coefficients(&nodes, Node::of_party(point));
        Some(Secret(self.0.values().zip(weights).map(|(value, weight)| value * weight).sum()))
    }
}
