//! Positions: height in the chain, round within a height, epoch of a committee, era of a key.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

macro_rules! position {
    ($(#[$doc:meta])* $name:ident, $repr:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize,
            BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($repr);

        impl $name {
            /// The first one.
            pub const ZERO: Self = Self(0);

            /// Wraps a number.
            #[must_use]
            pub const fn new(number: $repr) -> Self {
                Self(number)
            }

            /// The one after; the last one is its own successor.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position!(
    /// Position in the chain. Genesis is 0; the first block is 1.
    Height, u64
);
position!(
    /// Attempt to decide within a height, from 0.
    Round, u32
);
position!(
    /// Span of one validator set and one sharing of the key, from 0.
    Epoch, u64
);
position!(
    /// Span of one threshold key, from 0.
    Era, u32
);
position!(
    /// A distance between heights.
    HeightDelta, u64
);

impl Height {
    /// The height as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The height before; none before genesis.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// `delta` further on, saturating.
    #[must_use]
    pub const fn saturating_add(self, delta: HeightDelta) -> Self {
        Self(self.0.saturating_add(delta.0))
    }

    /// `delta` back; none if that is before genesis.
    #[must_use]
    pub const fn checked_sub(self, delta: HeightDelta) -> Option<Self> {
        match self.0.checked_sub(delta.0) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// How far `self` is above `other`; zero if it is not.
    #[must_use]
    pub const fn above(self, other: Self) -> HeightDelta {
        HeightDelta(self.0.saturating_sub(other.0))
    }

    /// All heights after `self` up to and including `last`.
    pub fn up_to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0.saturating_add(1)..=last.0).map(Self)
    }
}

impl HeightDelta {
    /// The distance as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl Round {
    /// The round as a number.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

impl Epoch {
    /// The epoch as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl Era {
    /// The era as a number.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}
