//! Where a new network begins to see L1: a final block up to which the forced queue is empty. Every entry comes
//! after it, so each is carried by some block, and none by the genesis.

use alloy::primitives::{Address, B256};
use conclave_types::{Digest, L1Origin};

use super::{
    Endpoints,
    endpoints::block,
    observe::entries_up_to,
    panel::{Panel, TooFew},
};

/// Why a block cannot be a network's first origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// L1 cannot be asked.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// It is not final.
    #[error(
        "L1 block {number} is not final yet, most endpoints call final no more than {newest}; choose that, or wait"
    )]
    NotFinal {
        /// The block.
        number: u64,
        /// The newest final one.
        newest: u64,
    },
    /// The queue has entries already.
    #[error(
        "the queue has {entries} entries up to L1 block {number}, which no block of the network would carry; choose {number_max} or an earlier one",
        number_max = .number.saturating_sub(1)
    )]
    NotEmpty {
        /// The block.
        number: u64,
        /// Entries up to it.
        entries: u64,
    },
    /// Endpoints give different answers, and none is that of most.
    #[error(
        "L1 endpoints contradict each other about final block {number}, and most of them agree on nothing: {one} and {other} differ in its hash or its entries; one of them lies or is broken, take it out"
    )]
    Contradiction {
        /// The block.
        number: u64,
        /// One endpoint.
        one: String,
        /// Another.
        other: String,
    },
}

/// The block `number`, if it can be the first origin of a network whose queue is at `forced`; the newest that can,
/// if none is named.
///
/// # Errors
///
/// [`OriginError`].
pub async fn first_origin(
    endpoints: &Endpoints,
    forced: Address,
    number: Option<u64>,
) -> Result<L1Origin, OriginError> {
    let mut panel = Panel::new(endpoints.clone());
    panel.look().await?;
    let newest = panel.newest_final();
    let wanted = number.unwrap_or(newest);
    if wanted > newest {
        return Err(OriginError::NotFinal { number: wanted, newest });
    }
    let (hash, entries) = look(&mut panel, forced, wanted).await?;
    match (number, entries) {
        (_, 0) => Ok(origin(wanted, hash)),
        (Some(number), entries) => Err(OriginError::NotEmpty { number, entries }),
        (None, _) => last_empty(&mut panel, forced, wanted).await,
    }
}

/// The last block up to which the queue is empty, below one up to which it is not.
async fn last_empty(
    panel: &mut Panel,
    forced: Address,
    filled: u64,
) -> Result<L1Origin, OriginError> {
    let (mut empty, mut filled) = (0, filled);
    let (mut hash, _) = look(panel, forced, empty).await?;
    while empty.saturating_add(1) < filled {
        let middle = empty.midpoint(filled);
        match look(panel, forced, middle).await? {
            (found, 0) => (empty, hash) = (middle, found),
            _ => filled = middle,
        }
    }
    Ok(origin(empty, hash))
}

/// A final block's hash, and the entries of the queue up to it.
async fn look(panel: &mut Panel, forced: Address, number: u64) -> Result<(B256, u64), OriginError> {
    let views = panel
        .agree(number, |provider| async move {
            let found = block(provider.clone(), number.into()).await?;
            let entries = entries_up_to(&provider, forced, number).await?;
            Ok((found.map(|found| found.hash).unwrap_or_default(), entries))
        })
        .await?;
    let Some((one, answer)) = views.agreed else {
        let (one, other) = views.opponents();
        return Err(OriginError::Contradiction { number, one, other });
    };
    for (url, _) in views.others {
        tracing::warn!(
            url,
            one,
            number,
            "an L1 endpoint differs from most others about a final block; take it out"
        );
    }
    Ok(answer)
}

const fn origin(number: u64, hash: B256) -> L1Origin {
    L1Origin { number, hash: Digest::new(hash.0) }
}
