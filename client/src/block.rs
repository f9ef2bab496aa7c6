//! Blocks as an observer sees them: decided first, opened later.

use conclave_grpc::messages as v1;
use conclave_types::{
    BlockId, BundleId, Digest, Height, Opening, PayerAddress, Time, ValidatorIndex,
    wire::{self, WireError},
};
use tonic::Streaming;

use crate::{ClientError, DecidedBlock, Level, Network, Opened};

/// A decided block, with its reveal if there is one yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What a quorum decided, with the proof.
    pub decided: DecidedBlock,
    /// What was inside, as the validator tells it.
    pub reveal: Option<Reveal>,
}

/// What a block was found to contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// The value that drew the order.
    pub beacon: Digest,
    /// The reveal digest at this height: it commits to the whole chain so far.
    pub chain_digest: Digest,
    /// The beacon's opening, then one a bundle in block order.
    pub openings: Vec<Opening>,
    /// The bundles in drawn order.
    pub bundles: Vec<OpenedBundle>,
    /// Whose shares the validator had when it opened the block.
    pub share_validators: Vec<ValidatorIndex>,
}

/// A bundle of a revealed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedBundle {
    /// The bundle.
    pub id: BundleId,
    /// Who pays for it.
    pub payer: PayerAddress,
    /// Its place, draw and legs.
    pub opened: Opened,
}

impl Block {
    pub(crate) fn verified(
        network: &Network,
        response: &v1::GetBlockResponse,
    ) -> Result<Self, ClientError> {
        let decided = network.verify_decided(response)?;
        let reveal = response.reveal.as_ref().map(Reveal::try_from).transpose()?;
        if let Some(reveal) = &reveal {
            check_same_bundles(&decided, reveal)?;
        }
        Ok(Self { decided, reveal })
    }
}

/// A reveal neither adds nor drops a bundle, and every place follows from the draws.
fn check_same_bundles(decided: &DecidedBlock, reveal: &Reveal) -> Result<(), ClientError> {
    let mut ordered = decided.bundles.clone();
    let mut revealed: Vec<_> = reveal.bundles.iter().map(|bundle| bundle.id).collect();
    ordered.sort_unstable();
    revealed.sort_unstable();
    if ordered != revealed {
        return Err(ClientError::Inconsistent("a reveal has exactly the bundles of its block"));
    }
    if !reveal.bundles.is_sorted_by_key(|bundle| (bundle.opened.draw, bundle.id)) {
        return Err(ClientError::Inconsistent("a reveal is ordered by its draws"));
    }
    Ok(())
}

impl TryFrom<&v1::Reveal> for Reveal {
    type Error = ClientError;

    fn try_from(reveal: &v1::Reveal) -> Result<Self, ClientError> {
        let openings = reveal.openings.iter();
        let bundles = (0_u32..).zip(&reveal.bundles);
        let validators = reveal.share_validators.iter().map(|index| {
            let too_large =
                WireError::TooLarge { field: "share_validators", found: u64::from(*index) };
            u16::try_from(*index).map(ValidatorIndex::new).or(Err(too_large))
        });
        Ok(Self {
            beacon: wire::id(&reveal.beacon, "beacon", Digest::from_slice)?,
            chain_digest: wire::id(&reveal.chain_digest, "chain_digest", Digest::from_slice)?,
            openings: openings
                .map(|bytes| wire::id(bytes, "openings", Opening::from_slice))
                .collect::<Result<_, _>>()?,
            bundles: bundles
                .map(|(position, bundle)| opened_bundle(position, bundle))
                .collect::<Result<_, _>>()?,
            share_validators: validators.collect::<Result<_, _>>()?,
        })
    }
}

fn opened_bundle(position: u32, bundle: &v1::RevealedBundle) -> Result<OpenedBundle, WireError> {
    let legs = if bundle.undecryptable.is_empty() {
        Ok(bundle.legs.iter().cloned().map(Into::into).collect())
    } else {
        Err(bundle.undecryptable.clone())
    };
    let draw = wire::id(&bundle.draw, "draw", Digest::from_slice)?;
    Ok(OpenedBundle {
        id: wire::id(&bundle.bundle_id, "bundle_id", BundleId::from_slice)?,
        payer: wire::id(&bundle.payer, "payer", PayerAddress::from_slice)?,
        opened: Opened { position, draw, legs },
    })
}

/// A block has reached a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEvent {
    /// `Ordered` or `Revealed`.
    pub level: Level,
    /// Its height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Its bundles.
    pub bundles: Vec<BundleId>,
    /// Its time.
    pub time: Time,
}

/// Blocks as they are decided and revealed, from one validator.
#[derive(Debug)]
pub struct BlockEvents {
    stream: Streaming<v1::StreamBlocksResponse>,
}

impl BlockEvents {
    pub(crate) const fn new(stream: Streaming<v1::StreamBlocksResponse>) -> Self {
        Self { stream }
    }

    /// The next event; none when the validator ends the stream.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when the stream breaks; open another one.
    pub async fn next(&mut self) -> Result<Option<BlockEvent>, ClientError> {
        let event = self.stream.message().await;
        let Some(event) = event.map_err(|status| ClientError::Refused(Box::new(status)))? else {
            return Ok(None);
        };
        let bundles = event.bundle_ids.iter();
        Ok(Some(BlockEvent {
            level: Level::from_wire(event.level)
                .ok_or(ClientError::Inconsistent("a block event has a level"))?,
            height: Height::new(event.height),
            block: wire::id(&event.block_id, "block_id", BlockId::from_slice)?,
            bundles: bundles
                .map(|bytes| wire::id(bytes, "bundle_ids", BundleId::from_slice))
                .collect::<Result<_, _>>()?,
            time: Time::from_micros(event.time_micros),
        }))
    }
}
