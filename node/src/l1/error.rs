//! What goes wrong with Ethereum, and what to do about it.

use std::time::Duration;

use alloy::{
    primitives::{Address, B256, U256},
    transports::TransportError,
};
use conclave_contracts::deployment::DeploymentError;

use super::{election::Elected, panel::TooFew, relay::BookError};

/// Two endpoints that call different blocks of one number final.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "L1 endpoints contradict each other about final block {number}, and most of them agree on nothing: {one} says {one_hash}, {other} says {other_hash}; one of them lies or is broken, take it out"
)]
pub struct Contradiction {
    /// The block.
    pub number: u64,
    /// One endpoint.
    pub one: String,
    /// What it says.
    pub one_hash: B256,
    /// Another.
    pub other: String,
    /// What that one says.
    pub other_hash: B256,
}

/// Why something cannot be asked of, or done on, L1.
#[derive(Debug, thiserror::Error)]
pub enum L1Error {
    /// The address of an endpoint is none.
    #[error("{0:?} is no address of an L1 endpoint; expected http://HOST:PORT")]
    Url(String),
    /// The endpoint would need TLS.
    #[error(
        "{0} needs TLS, which this program does not speak; run a node or a proxy of your own and name its http:// address"
    )]
    Tls(String),
    /// Nobody to ask.
    #[error("no L1 endpoint is named; give --l1 URL")]
    NoEndpoint,
    /// Nobody answers.
    #[error("no L1 endpoint answered {what}: {}; check that one of them runs", .failures.join("; "))]
    NoAnswer {
        /// The method.
        what: &'static str,
        /// What each said.
        failures: Vec<String>,
    },
    /// Too few answer.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// They answer, and no answer is that of most.
    #[error(
        "{answering} of {of} L1 endpoints answer {what}, and no answer is that of most of them; one of them lies or is behind: try again, or take it out"
    )]
    Discord {
        /// The method.
        what: &'static str,
        /// How many answer.
        answering: usize,
        /// Of how many.
        of: usize,
    },
    /// The endpoint serves another chain.
    #[error("{url} serves chain {found}, expected {expected}; name an endpoint of that chain")]
    WrongChain {
        /// The endpoint.
        url: String,
        /// Our chain.
        expected: u64,
        /// Its chain.
        found: u64,
    },
    /// Endpoints disagree about what is final.
    #[error(transparent)]
    Contradiction(Box<Contradiction>),
    /// An endpoint answers with an error.
    #[error("{url} refuses {what}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The method.
        what: &'static str,
        /// What it says.
        #[source]
        source: Box<TransportError>,
    },
    /// A contract refuses.
    #[error("the contract refuses: {0}")]
    Reverted(String),
    /// A transaction was included and undone.
    #[error("transaction {hash} is in block {block} and was undone: {reason}")]
    Undone {
        /// The transaction.
        hash: B256,
        /// Its block.
        block: u64,
        /// Why.
        reason: String,
        /// What it cost all the same.
        fee: U256,
    },
    /// Something that L1 must have is not there.
    #[error("{what} is not there")]
    Missing {
        /// What.
        what: String,
    },
    /// There is no contract.
    #[error(
        "there is no contract at {address} on chain {chain_id}; check --contract, --genesis and --l1"
    )]
    NoContract {
        /// Where.
        address: Address,
        /// On which chain.
        chain_id: u64,
    },
    /// The contract is something else.
    #[error("the contract at {0} is no ConclaveStake; check --contract")]
    OtherContract(Address),
    /// An election does not choose whom the genesis names.
    #[error(
        "L1 elects another committee than the genesis names: {}; have all of its validators registered, with the stake that the genesis says, and nobody else elected",
        .elected.iter().map(|one| format!("{} with {}", one.validator, one.power)).collect::<Vec<_>>().join(", ")
    )]
    OtherCommittee {
        /// Who is elected.
        elected: Vec<Elected>,
    },
    /// An answer of a contract is not what its ABI says.
    #[error("an answer of contract {address} is not what it should be")]
    Abi {
        /// The contract.
        address: Address,
        /// Why.
        #[source]
        source: alloy::sol_types::Error,
    },
    /// The account is too poor.
    #[error("account {account} has {found} wei, and this takes up to {expected}; send it ether")]
    Funds {
        /// The account.
        account: Address,
        /// What this could cost, value and fees.
        expected: String,
        /// What it has.
        found: String,
    },
    /// Fees are above the cap.
    #[error(
        "fees on L1 are at {found} wei a gas, and {gas} gas may cost {cap} wei in all; wait, or raise --max-cost of a command, or what a node may pay by [l1.relay]"
    )]
    TooDear {
        /// The gas.
        gas: u64,
        /// The least price that a block would take.
        found: u128,
        /// The cap.
        cap: String,
    },
    /// A transaction is not included.
    #[error(
        "transaction {hash} (nonce {nonce}) is in no block after {after:?}; it may still be: look it up before sending anything again"
    )]
    NotIncluded {
        /// The newest of its versions.
        hash: B256,
        /// Its nonce.
        nonce: u64,
        /// How long it was waited for.
        after: Duration,
    },
    /// Another transaction has the nonce.
    #[error(
        "another transaction of {account} took nonce {nonce}; whatever else uses this account must stop, then run this again"
    )]
    NonceTaken {
        /// The account.
        account: Address,
        /// The nonce.
        nonce: u64,
    },
    /// The endpoints have been silent for too long.
    #[error(
        "for {after:?} the L1 endpoints have not told what became of transaction {hash}, last seen in block {block}; it is sent, and may be or become final without this: look it up before sending anything again"
    )]
    Silent {
        /// The transaction.
        hash: B256,
        /// Its block, when it was seen last.
        block: u64,
        /// For how long nothing was heard.
        after: Duration,
        /// What went wrong at last.
        #[source]
        source: Box<Self>,
    },
    /// It did not become final.
    #[error("transaction {hash} is in block {block}, which is not final after {after:?}")]
    NotFinal {
        /// The transaction.
        hash: B256,
        /// Its block.
        block: u64,
        /// How long it was waited for.
        after: Duration,
    },
    /// A contract is not where it was foretold.
    #[error("{contract} was created at {found:?}, foretold was {expected}: deploy anew")]
    Elsewhere {
        /// The contract.
        contract: &'static str,
        /// Where it should be.
        expected: Address,
        /// Where it is.
        found: Option<Address>,
    },
    /// Nothing can be deployed.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// What the account spends cannot be written down, so it spends nothing.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A transaction cannot be signed.
    #[error("cannot sign the transaction")]
    Sign(#[from] alloy::signers::Error),
    /// The file holds no evidence.
    #[error("{0}")]
    Evidence(String),
    /// Somebody has reported it.
    #[error(
        "offence {offence} was reported before (AlreadyReported), and is or was judged on L1: there is nothing to do"
    )]
    Reported {
        /// Its identity on L1.
        offence: B256,
    },
}

impl L1Error {
    /// Whether a contract refuses with the error of that name, before or in a block.
    #[must_use]
    pub fn is_refusal(&self, name: &str) -> bool {
        let (Self::Reverted(reason) | Self::Undone { reason, .. }) = self else { return false };
        let said = reason.split([' ', '{', '(', ':']).next();
        said == Some(name)
    }

    /// Whether it is about what a contract was shown, and not about how it was reached: to show it the same again is of
    /// little use.
    #[must_use]
    pub(super) const fn is_about_content(&self) -> bool {
        matches!(
            self,
            Self::Reverted(_) | Self::Undone { .. } | Self::Evidence(_) | Self::Missing { .. }
        )
    }

    /// Whether asking again may bring an answer: nobody has answered, too few, or they are out of step.
    #[must_use]
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::TooFew(_) | Self::Discord { .. })
    }

    /// What was paid in fees all the same.
    #[must_use]
    pub(super) const fn fee(&self) -> U256 {
        if let Self::Undone { fee, .. } = self { *fee } else { U256::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_l1_was_shown_is_told_from_how_it_was_reached() {
        let missing = L1Error::Missing { what: "a member".to_owned() };
        let undone = L1Error::Undone {
            hash: B256::ZERO,
            block: 7,
            reason: "NotAnOffence".to_owned(),
            fee: U256::from(1),
        };
        let content = [
            L1Error::Reverted("BadSignature(3)".to_owned()),
            undone,
            L1Error::Evidence("no point".to_owned()),
            missing,
        ];
        assert!(content.iter().all(L1Error::is_about_content));
        let dear = L1Error::TooDear { gas: 1, found: 2, cap: "3".to_owned() };
        let silent = L1Error::NoAnswer { what: "eth_call", failures: Vec::new() };
        let faster = L1Error::Reported { offence: B256::ZERO };
        let waits =
            L1Error::NotIncluded { hash: B256::ZERO, nonce: 1, after: Duration::from_secs(1) };
        assert!(![dear, silent, faster, waits].iter().any(L1Error::is_about_content));
    }
}
