//! Handing a transaction to all endpoints, and what their answers are worth.
//!
//! One that takes a transaction is enough: it tells the others. So what each answers is an answer by itself, and one that
//! lies could have it that something is sent which nobody else has. That most endpoints have the same against a transaction
//! counts more than that one has taken it; and who says that it has known it before has to show it.

use alloy::{
    primitives::B256,
    providers::{DynProvider, Provider as _},
    transports::{TransportError, TransportResult},
};

use super::{Endpoints, L1Error, endpoint::is_answer};

/// What became of a transaction that was handed to the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// Somebody has it.
    Taken,
    /// Nobody takes it, and somebody says that it has it, and does not show it: it may be on its way, or not.
    Unsure,
}

/// Why a transaction is not on its way.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// Most endpoints say that another transaction has its nonce.
    #[error("most L1 endpoints say that its nonce is taken")]
    NonceTaken,
    /// Nobody takes it, or most want more to be paid.
    #[error(transparent)]
    Refused(#[from] L1Error),
}

/// What an endpoint has against a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// Another transaction has its nonce.
    NonceTaken,
    /// What waits under its nonce pays as much.
    Underpriced,
    /// Something else.
    Other,
}

impl Objection {
    /// What that error tells of, if an endpoint said it.
    pub(super) fn told(error: &L1Error) -> Option<Self> {
        let L1Error::Refused { source, .. } = error else { return None };
        Some(Self::of(source))
    }

    fn of(error: &TransportError) -> Self {
        let said = error.to_string().to_lowercase();
        if said.contains("nonce too low") || said.contains("nonce is too low") {
            Self::NonceTaken
        } else if said.contains("underpriced") {
            Self::Underpriced
        } else {
            Self::Other
        }
    }
}

impl Endpoints {
    /// Hands a transaction to all.
    ///
    /// # Errors
    ///
    /// What most have against it, or the first that answers if nobody takes it. That a nonce is taken is what most say, or
    /// nothing: under the next one the same might be done twice.
    pub async fn broadcast(&self, raw: &[u8], hash: B256) -> Result<Handed, Unsent> {
        const WHAT: &str = "eth_sendRawTransaction";
        let hand = |_: &str, provider: DynProvider| async move { hand(&provider, raw, hash).await };
        let (mut handed, mut objections, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for (endpoint, said) in self.put_each(|_| true, true, &hand).await {
            match said {
                Ok(Ok(one)) => handed.push(one),
                Ok(Err(error)) if is_answer(&error) => {
                    objections.push((Objection::of(&error), endpoint.refused(WHAT, error)));
                }
                Ok(Err(error)) => failures.push(endpoint.failure(&error)),
                Err(late) => failures.push(late),
            }
        }
        let saying = |of: Objection| objections.iter().filter(|(found, _)| *found == of).count();
        let most = [Objection::NonceTaken, Objection::Underpriced]
            .into_iter()
            .find(|objection| self.is_majority(saying(*objection)));
        if most == Some(Objection::NonceTaken) {
            return Err(Unsent::NonceTaken);
        }
        let first = objections.iter().position(|(found, _)| most.is_none_or(|most| most == *found));
        let refusal = first.map(|first| objections.swap_remove(first).1);
        let is_taken = most.is_none() && handed.contains(&Handed::Taken);
        match (is_taken, refusal) {
            (true, _) => Ok(Handed::Taken),
            (false, Some(refusal)) => Err(refusal.into()),
            (false, None) if handed.is_empty() => {
                Err(L1Error::NoAnswer { what: WHAT, failures }.into())
            }
            (false, None) => Ok(Handed::Unsure),
        }
    }
}

/// Hands a transaction to one. An error that says that it is there already is none if it is.
async fn hand(provider: &DynProvider, raw: &[u8], hash: B256) -> TransportResult<Handed> {
    let Err(error) = provider.send_raw_transaction(raw).await else { return Ok(Handed::Taken) };
    let said = error.to_string().to_lowercase();
    let is_known = said.contains("already known") || said.contains("already imported");
    if !is_answer(&error) || !is_known {
        return Err(error);
    }
    let shown = provider.get_transaction_by_hash(hash).await;
    let is_shown = shown.is_ok_and(|shown| shown.is_some_and(|shown| shown.inner.hash() == &hash));
    Ok(if is_shown { Handed::Taken } else { Handed::Unsure })
}
