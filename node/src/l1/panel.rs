//! The endpoints as a panel: what each was heard to call final, and which of them are of no use at the moment.
//!
//! What is final to us is what most of them call final, those that are silent included. One that fails is left
//! alone for a while, unless the others are too few: it would make every question wait for its silence.

use std::{collections::BTreeMap, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::Address,
    providers::{DynProvider, Provider as _},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::TransportResult,
};
use tokio::time::Instant;

use super::{
    Endpoints,
    endpoints::{Answers, block},
};

/// For so long an endpoint that failed is not asked again.
const REST: Duration = Duration::from_secs(30);

/// Too few endpoints answer to know anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{answering} of {of} L1 endpoints answer, most of them are needed: {}; check that they run, or name others",
    .failures.join("; ")
)]
pub struct TooFew {
    /// How many answer.
    pub answering: usize,
    /// Of how many.
    pub of: usize,
    /// What is wrong with those that do not.
    pub failures: Vec<String>,
}

/// What is remembered of an endpoint.
#[derive(Clone, Debug, Default)]
struct Member {
    newest_final: u64,
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    rests_until: Instant,
}

/// What endpoints say of one thing.
pub(super) struct Views<T> {
    /// What most of all say alike, and the first that says it; none if nothing is.
    pub(super) agreed: Option<(String, T)>,
    /// Who says something else; all that say anything, if nothing is agreed.
    pub(super) others: Vec<(String, T)>,
}

impl<T: PartialEq> Views<T> {
    /// Two that say different things, if nothing is agreed.
    pub(super) fn opponents(self) -> (String, String) {
        let mut said = self.others.into_iter();
        let Some((one, answer)) = said.next() else { return Default::default() };
        let other = said.find(|(_, other)| *other != answer).map(|(other, _)| other);
        (one, other.unwrap_or_default())
    }
}

/// Endpoints with what is remembered of each.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    endpoints: Endpoints,
    members: BTreeMap<String, Member>,
    /// Whether those that answered last differ: then everyone is asked, and waited for.
    is_split: bool,
}

impl Panel {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        let members = endpoints.urls().map(|url| (url.to_owned(), Member::default())).collect();
        Self { endpoints, members, is_split: false }
    }

    /// The newest block that most endpoints have called final.
    pub(super) fn newest_final(&self) -> u64 {
        let mut finals: Vec<_> = self.members.values().map(|known| known.newest_final).collect();
        finals.sort_unstable_by(|one, other| other.cmp(one));
        finals.get(finals.len() / 2).copied().unwrap_or_default()
    }

    /// How many endpoints there are.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// The endpoints that failed when they were asked last, and how.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().filter_map(|(url, known)| {
            known.failure.as_ref().map(|failure| (url.as_str(), failure.reason.as_str()))
        })
    }

    /// Asks what is final.
    pub(super) async fn look(&mut self) -> Result<(), TooFew> {
        let finalized = |provider| block(provider, BlockNumberOrTag::Finalized);
        let answers = self.ask(0, finalized).await?;
        for (url, found) in answers {
            if let (Some(known), Some(found)) = (self.members.get_mut(&url), found) {
                known.newest_final = known.newest_final.max(found.number);
            }
        }
        Ok(())
    }

    /// What most of all endpoints say alike, of those that call block `number` final, and who says something else. If nothing
    /// is, whoever was not waited for, or did not call it final, may be the one that makes them most: so they are asked again.
    pub(super) async fn agree<T, F>(
        &mut self,
        number: u64,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<Views<T>, TooFew>
    where
        T: PartialEq,
        F: Future<Output = TransportResult<T>>,
    {
        loop {
            if self.is_split {
                self.look().await?;
            }
            let mut others = self.ask(number, &question).await?;
            let most = agreed(others.iter().map(|(_, said)| said), self.count());
            let was_split = std::mem::replace(&mut self.is_split, most.is_none());
            if most.is_none() && !was_split {
                continue;
            }
            let agreed = most.map(|most| others.remove(most));
            if let Some((_, agreed)) = &agreed {
                others.retain(|(_, said)| said != agreed);
            }
            return Ok(Views { agreed, others });
        }
    }

    /// What most of the endpoints say, of those that call block `number` final.
    pub(super) async fn ask<T, F>(
        &mut self,
        number: u64,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<Vec<(String, T)>, TooFew>
    where
        F: Future<Output = TransportResult<T>>,
    {
        self.ask_by_address(number, |_, provider| question(provider)).await
    }

    /// The same with a question that depends on the address of whom it is put to.
    pub(super) async fn ask_by_address<T, F>(
        &mut self,
        number: u64,
        question: impl Fn(&str, DynProvider) -> F,
    ) -> Result<Vec<(String, T)>, TooFew>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let now = Instant::now();
        let is_rested = |known: &Member| {
            known.failure.as_ref().is_none_or(|failure| failure.rests_until <= now)
        };
        let knows = |known: &&Member| known.newest_final >= number;
        let rested = self.members.values().filter(knows).filter(|known| is_rested(known)).count();
        let all = self.is_split || !self.endpoints.is_majority(rested);
        let is_asked = |url: &str| {
            self.members.get(url).filter(knows).is_some_and(|known| all || is_rested(known))
        };
        let Answers { given, failed } =
            self.endpoints.ask_each(is_asked, !self.is_split, question).await;
        for (url, _) in &given {
            self.note(url, None);
        }
        for (url, reason) in failed {
            let failure = Failure { reason, rests_until: Instant::now() + REST };
            self.note(&url, Some(failure));
        }
        if self.endpoints.is_majority(given.len()) {
            return Ok(given);
        }
        let failures = self.failures().map(|(_, reason)| reason.to_owned()).collect();
        Err(TooFew { answering: given.len(), of: self.members.len(), failures })
    }

    /// What a contract answers to a call at a block, if most endpoints say the same of it.
    pub(super) async fn call<C: SolCall>(
        &mut self,
        to: Address,
        call: &C,
        at: BlockNumberOrTag,
    ) -> Result<Option<C::Return>, TooFew> {
        let request = TransactionRequest::default().to(to).input(call.abi_encode().into());
        let question = |provider: DynProvider| {
            let request = request.clone();
            async move { provider.call(request).block(at.into()).await }
        };
        let answers = self.ask(0, question).await?;
        let most = agreed(answers.iter().map(|(_, answer)| answer), self.count());
        self.is_split = most.is_none();
        let agreed = most.and_then(|most| answers.get(most));
        Ok(agreed.and_then(|(_, answer)| C::abi_decode_returns(answer).ok()))
    }

    fn note(&mut self, url: &str, failure: Option<Failure>) {
        if let Some(known) = self.members.get_mut(url) {
            known.failure = failure;
        }
    }
}

/// The first of these answers that is what most of `all` say.
fn agreed<'a, T: PartialEq + 'a>(
    answers: impl Iterator<Item = &'a T> + Clone,
    all: usize,
) -> Option<usize> {
    let saying = |of: &T| answers.clone().filter(|other| *other == of).count();
    answers.clone().position(|answer| saying(answer).saturating_mul(2) > all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_of_all_endpoints_say_alike_is_agreed() {
        let table: [(&[u8], usize, Option<usize>); 7] = [
            (&[1], 1, Some(0)),
            (&[0, 1, 1], 3, Some(1)),
            (&[1, 1, 0], 3, Some(0)),
            (&[1, 1], 3, Some(0)),
            (&[0, 1], 2, None),
            (&[1], 3, None),
            (&[0, 1, 2], 3, None),
        ];
        for (answers, all, expected) in table {
            assert_eq!(agreed(answers.iter(), all), expected, "{answers:?} of {all}");
        }
    }
}
