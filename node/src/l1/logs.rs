//! Logs of many blocks, in pages that an endpoint serves.
//!
//! Providers refuse a range of blocks that they find too long, each at another length and in other words. So the whole
//! range is asked for first, which a node of one's own serves, and what is refused, or answered at greater length than
//! is read, is asked for in narrower pages, the newest first: who looks for the last of something stops where it is.
//!
//! **Bounds.** Each page is a request; how long all of them may take is the asker's patience with an endpoint. What is kept
//! of all pages together is [`KEPT_BYTES_MAX`] ([`newest_first`]): beyond that the endpoint has not answered.

use alloy::{
    providers::{DynProvider, Provider as _},
    rpc::types::{Filter, Log},
    transports::{TransportErrorKind, TransportResult},
};

use super::{endpoint::is_answer, http::is_too_long};

/// Blocks of a page after so many refusals. Ten are what the meanest provider serves; what one block holds is bounded
/// by its gas.
const NARROWER: [u64; 5] = [10_000, 1_000, 100, 10, 1];

/// Of one endpoint's pages: as many logs as one answer may have that is read, some 70,000 of contracts that are ours.
const KEPT_BYTES_MAX: usize = 32 << 20;
/// What a log takes beside its data and topics.
const LOG_BYTES: usize = 320;

/// An endpoint shows more logs than are kept of it.
#[derive(Debug, thiserror::Error)]
#[error("the logs of blocks {from} to {to} have more than {KEPT_BYTES_MAX} bytes")]
struct TooMany {
    from: u64,
    to: u64,
}

/// The logs of a filter in these blocks, in the order of the chain; back to the page with which there is enough. An
/// endpoint that shows more than is kept of one has answered wrongly: with fewer, what they show would have a gap.
pub(super) async fn newest_first(
    provider: &DynProvider,
    filter: &Filter,
    blocks: (u64, u64),
    mut is_enough: impl FnMut(&[Log]) -> bool,
) -> TransportResult<Vec<Log>> {
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    let take = |logs: Vec<Log>| {
        bytes = bytes.saturating_add(logs.iter().map(size).fold(0, usize::saturating_add));
        if bytes > KEPT_BYTES_MAX {
            return true;
        }
        let has_enough = is_enough(&logs);
        found.push(logs);
        has_enough
    };
    each_page(provider, filter, blocks, take).await?;
    if bytes > KEPT_BYTES_MAX {
        let (from, to) = blocks;
        return Err(TransportErrorKind::custom(TooMany { from, to }));
    }
    Ok(found.into_iter().rev().flatten().collect())
}

/// What a log takes, about.
fn size(log: &Log) -> usize {
    let data = &log.inner.data;
    data.data.len().saturating_add(data.topics().len().saturating_mul(32)).saturating_add(LOG_BYTES)
}

/// The pages of these blocks, the newest first and each in the order of the chain, until `take` says that it has enough:
/// for whoever keeps less of a log than the whole.
pub(super) async fn each_page(
    provider: &DynProvider,
    filter: &Filter,
    blocks: (u64, u64),
    mut take: impl FnMut(Vec<Log>) -> bool,
) -> TransportResult<()> {
    let mut pages = Pages::new(blocks);
    while let Some((from, to)) = pages.next() {
        match provider.get_logs(&filter.clone().from_block(from).to_block(to)).await {
            Ok(logs) => {
                if take(logs) {
                    break;
                }
                pages.served();
            }
            Err(error) if (is_answer(&error) || is_too_long(&error)) && pages.narrow() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Which blocks to ask for next.
struct Pages {
    from: u64,
    /// The newest that is not served yet.
    to: Option<u64>,
    width: u64,
    narrower: std::array::IntoIter<u64, { NARROWER.len() }>,
}

impl Pages {
    fn new((from, to): (u64, u64)) -> Self {
        let to = Some(to).filter(|to| *to >= from);
        Self { from, to, width: u64::MAX, narrower: NARROWER.into_iter() }
    }

    /// The newest page that is not served yet: its first and its last block.
    fn next(&self) -> Option<(u64, u64)> {
        self.to.map(|to| (to.saturating_sub(self.width.saturating_sub(1)).max(self.from), to))
    }

    /// That page was served.
    fn served(&mut self) {
        let first = self.next().map(|(first, _)| first);
        self.to = first.filter(|first| *first > self.from).and_then(|first| first.checked_sub(1));
    }

    /// That page was refused; says whether there is a narrower one.
    fn narrow(&mut self) -> bool {
        let beyond_first = self.next().map_or(0, |(first, last)| last.saturating_sub(first));
        let narrower = self.narrower.find(|width| *width <= beyond_first);
        self.width = narrower.unwrap_or(self.width);
        narrower.is_some()
    }
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::{Address, B256, Bytes},
        providers::{ProviderBuilder, mock::Asserter},
    };
    use serde_json::{Value, json};

    use super::*;

    /// A page of logs that have so many bytes of data each.
    fn page(count: usize, bytes: usize) -> Value {
        let log = json!({
            "address": Address::ZERO, "topics": [], "data": Bytes::from(vec![7; bytes]),
            "blockHash": B256::ZERO, "blockNumber": "0x5", "transactionHash": B256::ZERO,
            "transactionIndex": "0x0", "logIndex": "0x0", "removed": false,
        });
        Value::Array(vec![log; count])
    }

    #[tokio::test]
    async fn an_endpoint_that_answers_page_after_page_is_heard_until_it_has_shown_too_much() {
        let answers = Asserter::new();
        let provider = ProviderBuilder::default().connect_mocked_client(answers.clone()).erased();
        let ask = async |blocks, enough: usize| {
            let mut pages = 0;
            let is_enough = |_: &[Log]| {
                pages += 1;
                pages == enough
            };
            newest_first(&provider, &Filter::new(), blocks, is_enough).await
        };
        // A megabyte in each page of a thousand blocks, for as long as it is asked.
        answers.push_failure_msg("too many blocks");
        answers.push_failure_msg("too many blocks");
        (0..100).for_each(|_| answers.push_success(&page(1, 1 << 20)));
        let error = ask((0, 99_999), usize::MAX).await.unwrap_err();
        let custom = error.as_transport_err().and_then(TransportErrorKind::as_custom);
        assert!(custom.is_some_and(|custom| custom.is::<TooMany>()), "{error}");
        assert_eq!(answers.read_q().len(), 100 - 32, "nothing is asked for behind that");
        // One page may be too much by itself, and whoever has enough before that has it.
        answers.write_q().clear();
        answers.push_failure_msg("too many blocks");
        (0..9).for_each(|_| answers.push_success(&page(40, 1 << 20)));
        assert!(ask((0, 99_999), 1).await.is_err());
        answers.write_q().clear();
        answers.push_failure_msg("too many blocks");
        (0..9).for_each(|_| answers.push_success(&page(9, 1 << 20)));
        assert_eq!(ask((0, 99_999), 2).await.unwrap().len(), 18);
    }

    /// The pages that a provider serves who serves so many blocks at once, and how often it refused.
    fn served((from, to): (u64, u64), blocks: u64) -> (Vec<(u64, u64)>, usize) {
        let (mut pages, mut served, mut refusals) = (Pages::new((from, to)), Vec::new(), 0);
        while let Some(page) = pages.next() {
            if page.1 - page.0 < blocks {
                served.push(page);
                pages.served();
            } else {
                refusals += 1;
                assert!(pages.narrow(), "{blocks} blocks are a page");
            }
        }
        (served, refusals)
    }

    #[test]
    fn a_node_of_ones_own_is_asked_once() {
        assert_eq!(served((0, 9), u64::MAX), (vec![(0, 9)], 0));
        assert_eq!(served((7, 7), 10), (vec![(7, 7)], 0));
        assert_eq!(served((7, 6), 10), (vec![], 0), "no block, no question");
    }

    #[test]
    fn whatever_length_is_served_every_block_is_asked_for_once_and_the_newest_first() {
        for (blocks, refusals) in
            [(1, 5), (9, 5), (10, 4), (11, 4), (99, 4), (100, 3), (2_000, 2), (10_000, 1)]
        {
            let (pages, found) = served((3, 23_455), blocks);
            assert_eq!(found, refusals, "{blocks}");
            assert_eq!((pages[0].1, pages.last().unwrap().0), (23_455, 3));
            assert!(pages.windows(2).all(|pages| pages[1].1 + 1 == pages[0].0), "{blocks}");
        }
    }

    #[test]
    fn an_endpoint_that_serves_nothing_is_not_asked_for_ever() {
        let mut pages = Pages::new((0, 1 << 40));
        let widths: Vec<_> = std::iter::from_fn(|| {
            let (from, to) = pages.next()?;
            pages.narrow().then_some(to - from)
        })
        .collect();
        assert_eq!(widths, [1 << 40, 9_999, 999, 99, 9]);
        assert_eq!(pages.next().map(|(from, to)| to - from), Some(0));
        assert!(!pages.narrow());
        // Nor for the same blocks twice.
        let mut pages = Pages::new((7, 1_006));
        assert!(pages.narrow());
        assert_eq!(pages.next(), Some((907, 1_006)));
    }
}
