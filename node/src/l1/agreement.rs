//! What the endpoints of a chain say together, so that no one of them decides what is believed, sent or paid.
//!
//! What has to be the same for all is what most of them say alike: addresses, records, what a contract answers. What
//! differs from one to the next, as prices and counts do, is the middle of what they say: it lies between what two
//! honest ones say, or is what one of them does, as long as most are honest.

use alloy::{
    eips::BlockNumberOrTag, primitives::B256, providers::DynProvider, transports::TransportResult,
};

use super::{
    Contradiction, Endpoints, L1Error, TooFew,
    endpoint::is_answer,
    endpoints::{Answers, block},
    revert,
};

/// One that has just seen a block says something else than one that has not. They are asked again so often.
const ROUNDS: u32 = 5;

/// What endpoints said, their refusals included.
struct Said<T> {
    views: Vec<Result<T, L1Error>>,
    failures: Vec<String>,
}

impl Endpoints {
    /// What most endpoints say alike. That a contract refuses is something to say.
    ///
    /// # Errors
    ///
    /// What they refuse with, or if too few answer or agree.
    pub async fn agree<T, F>(
        &self,
        what: &'static str,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<T, L1Error>
    where
        T: PartialEq,
        F: Future<Output = TransportResult<T>>,
    {
        let mut round = 1;
        loop {
            // At last everybody is waited for: whoever was left behind may be the one that makes them most.
            let said = self.hear(what, round < ROUNDS, &question).await;
            match self.alike(what, said) {
                Err(L1Error::Discord { .. }) if round < ROUNDS => round = round.saturating_add(1),
                result => return result,
            }
            tokio::time::sleep(self.patience().look_every).await;
        }
    }

    /// The middle of what the endpoints say; that a contract refuses, if most of all do.
    ///
    /// # Errors
    ///
    /// What they refuse with, or if nobody answers, or no more answer than refuse.
    pub async fn middle<T, F>(
        &self,
        what: &'static str,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<T, L1Error>
    where
        T: Ord,
        F: Future<Output = TransportResult<T>>,
    {
        let mut hurry = true;
        loop {
            let Said { views, failures } = self.hear(what, hurry, &question).await;
            let answering = views.len();
            let (values, refusals): (Vec<_>, Vec<_>) = views.into_iter().partition(Result::is_ok);
            let mut values: Vec<T> = values.into_iter().flatten().collect();
            let are_most = self.is_majority(values.len().max(refusals.len()));
            if hurry && !are_most {
                hurry = false;
                continue;
            }
            if values.len() > refusals.len() {
                values.sort_unstable();
                let middle = values.len() / 2;
                return values.into_iter().nth(middle).ok_or(L1Error::NoEndpoint);
            }
            return match refusals.into_iter().next() {
                None => Err(L1Error::NoAnswer { what, failures }),
                Some(refusal) if are_most => refusal,
                Some(_) => Err(L1Error::Discord { what, answering, of: self.urls().count() }),
            };
        }
    }

    /// The number of the newest block.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn newest(&self) -> Result<u64, L1Error> {
        let newest = self.middle("eth_getBlockByNumber", |provider| async move {
            let newest = block(provider, BlockNumberOrTag::Latest).await?;
            Ok(newest.map_or(0, |newest| newest.number))
        });
        newest.await
    }

    /// Whether most of all endpoints call a block final. Who calls another one of its number final is told to the log.
    ///
    /// # Errors
    ///
    /// [`L1Error::Contradiction`] if endpoints call different blocks of that number final, and most of them none.
    pub async fn is_final(&self, number: u64, hash: B256) -> Result<bool, L1Error> {
        let mut hurry = true;
        loop {
            let called = self.called_final(number, hurry).await?;
            let calling = |hash: B256| called.iter().filter(|(_, found)| *found == hash).count();
            let mut hashes = called.iter().map(|(_, found)| *found);
            let most = hashes.find(|found| self.is_majority(calling(*found)));
            let first = called.first().map(|(_, found)| *found);
            if let Some(most) = most {
                for (url, _) in called.iter().filter(|(_, found)| *found != most) {
                    self.tell_dissent(url, number);
                }
                return Ok(most == hash);
            }
            let mut called = called.into_iter();
            let other = called.clone().find(|(_, found)| Some(*found) != first);
            let (Some((one, one_hash)), Some((other, other_hash))) = (called.next(), other) else {
                return Ok(false);
            };
            if !hurry {
                let found = Contradiction { number, one, one_hash, other, other_hash };
                return Err(L1Error::Contradiction(Box::new(found)));
            }
            // Whoever was left behind may be the one that makes them most.
            hurry = false;
        }
    }

    /// The block of that number that each endpoint calls final, if it does one.
    async fn called_final(&self, number: u64, hurry: bool) -> Result<Vec<(String, B256)>, L1Error> {
        const WHAT: &str = "eth_getBlockByNumber";
        let question = |_: &str, provider: DynProvider| async move {
            let newest = block(provider.clone(), BlockNumberOrTag::Finalized).await?;
            if newest.is_none_or(|newest| newest.number < number) {
                return Ok(None);
            }
            block(provider, number.into()).await
        };
        let Answers { given, failed } = self.ask_each(|_| true, hurry, question).await;
        if given.is_empty() {
            let failures = failed.into_iter().map(|(_, reason)| reason).collect();
            return Err(L1Error::NoAnswer { what: WHAT, failures });
        }
        Ok(given.into_iter().filter_map(|(url, found)| Some((url, found?.hash))).collect())
    }

    async fn hear<T, F>(
        &self,
        what: &'static str,
        hurry: bool,
        question: &impl Fn(DynProvider) -> F,
    ) -> Said<T>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let mut heard = Said { views: Vec::new(), failures: Vec::new() };
        for (endpoint, said) in
            self.put_each(|_| true, hurry, &|_: &str, provider| question(provider)).await
        {
            match said {
                Ok(Ok(value)) => heard.views.push(Ok(value)),
                Ok(Err(error)) if is_answer(&error) => {
                    heard.views.push(Err(revert::named(endpoint.refused(what, error))));
                }
                Ok(Err(error)) => heard.failures.push(endpoint.failure(&error)),
                Err(late) => heard.failures.push(late),
            }
        }
        heard
    }

    /// What most of all say alike.
    fn alike<T: PartialEq>(&self, what: &'static str, said: Said<T>) -> Result<T, L1Error> {
        let Said { views, failures } = said;
        let saying =
            |of: &Result<T, L1Error>| views.iter().filter(|other| is_same(of, other)).count();
        let most = views.iter().position(|view| self.is_majority(saying(view)));
        let answering = views.len();
        if let Some(view) = most.and_then(|most| views.into_iter().nth(most)) {
            return view;
        }
        if answering == 0 {
            return Err(L1Error::NoAnswer { what, failures });
        }
        let of = self.urls().count();
        if self.is_majority(answering) {
            return Err(L1Error::Discord { what, answering, of });
        }
        Err(L1Error::TooFew(TooFew { answering, of, failures }))
    }
}

/// Whether two say the same: the same answer, the same refusal of a contract, or that they refuse, each in its words.
fn is_same<T: PartialEq>(one: &Result<T, L1Error>, other: &Result<T, L1Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(L1Error::Reverted(one)), Err(L1Error::Reverted(other))) => one == other,
        (Err(L1Error::Refused { .. }), Err(L1Error::Refused { .. })) => true,
        _ => false,
    }
}
