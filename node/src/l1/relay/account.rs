//! The account that pays for what a node sends to L1, and how its validator takes turns.

use std::path::PathBuf;

use alloy::{
    primitives::{B256, U256},
    signers::local::PrivateKeySigner,
};
use conclave_types::{Committee, ConsensusKey};

use super::{
    book::{Book, BookError},
    decide::{Policy, Turns},
};
use crate::{
    config::RelayConfig,
    keys::{self, KeyFileError},
    l1::{Endpoints, Fees, Sender},
};

/// Why the account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Its key cannot.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// What it has spent cannot be known.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Who pays, and how this validator takes its turns.
pub(super) struct Account {
    pub(super) signer: PrivateKeySigner,
    pub(super) config: RelayConfig,
    pub(super) own: Option<ConsensusKey>,
    /// What it has spent.
    pub(super) book: Book,
}

impl Account {
    /// Reads the key of the account; `own` is the consensus key of the node's validator, if it is one.
    pub(super) fn read(
        config: RelayConfig,
        own: Option<ConsensusKey>,
        spent: PathBuf,
    ) -> Result<Self, AccountError> {
        let key = keys::read(&config.account_key)?;
        let signer = PrivateKeySigner::from_slice(&*key).map_err(|_not_in_range| {
            KeyFileError::Malformed { path: config.account_key.clone() }
        })?;
        let book = Book::open(spent)?;
        Ok(Self { signer, config, own, book })
    }

    /// Among whom it takes turns.
    pub(super) fn turns(&self, office: &Committee) -> Turns {
        let own = self.own.and_then(|own| office.index_of(&own));
        let seat = own.and_then(|index| office.place_of(index));
        let narrow = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Turns { seat: seat.map(narrow), seats: narrow(office.count()) }
    }

    /// Sends from it, for so much at most; to bring the case of an offence forward, or for anything else.
    pub(super) fn sender(
        &self,
        endpoints: &Endpoints,
        cost_max: U256,
        offence: Option<B256>,
    ) -> Sender {
        let fees = Fees { cost_max, ..Fees::default() };
        let sender = Sender::new(endpoints.clone(), self.signer.clone(), fees);
        sender.accounting(self.book.page(offence))
    }

    /// When and how it posts.
    pub(super) fn policy(&self) -> Policy {
        let RelayConfig { every_heights, day_cost_gwei_max, posting_cost_gwei_max, .. } =
            self.config;
        Policy {
            every_heights,
            every: self.config.every(),
            takeover: self.config.takeover(),
            day_max: gwei(day_cost_gwei_max),
            posting_max: gwei(posting_cost_gwei_max),
        }
    }
}

fn gwei(amount: u64) -> U256 {
    U256::from(amount).saturating_mul(U256::from(1_000_000_000_u64))
}
