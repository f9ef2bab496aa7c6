//! History for peers that ask for it, a page at a time.

use std::{collections::BTreeSet, sync::Arc};

use conclave_types::{BundleId, EncryptedBundle, Height};

use super::{
    ArchiveRequest, PAGE_BLOCKS, PAGE_BYTES, Read, StoredReveal, block, block_bundles, bundle,
    certificate, own_shares, reveal,
};
use crate::{
    message::{DecidedBlock, Message, WANT_BUNDLES_MAX},
    store::Store,
};

/// What to send to a peer that asked for history; none if this store has nothing of it.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn answer<S: Store>(store: &S, request: &ArchiveRequest) -> Read<Option<Message>, S> {
    match request {
        ArchiveRequest::Decided { from } => page(store, *from),
        ArchiveRequest::Bundles(ids) => {
            let mut bundles = Vec::new();
            let mut room = PAGE_BYTES;
            let distinct: BTreeSet<&BundleId> = ids.iter().take(WANT_BUNDLES_MAX).collect();
            for id in distinct {
                let Some(bundle) = bundle(store, id)? else { continue };
                let Some(left) = room.checked_sub(bundle.size_bytes()) else { break };
                room = left;
                bundles.push(Arc::new(bundle));
            }
            Ok((!bundles.is_empty()).then_some(Message::Bundles(bundles)))
        }
        ArchiveRequest::Openings { height } => {
            if let Some(reveal) = reveal(store, *height)? {
                let StoredReveal { block, openings, .. } = reveal;
                return Ok(Some(Message::Openings { height: *height, block, openings }));
            }
            Ok(own_shares(store, *height)?.map(|shares| Message::Shares(Arc::new(shares))))
        }
        ArchiveRequest::Certificate { height } => {
            let found = certificate(store, *height)?;
            Ok(found.map(|certificate| Message::Certificate(Arc::new(certificate))))
        }
    }
}

fn page<S: Store>(store: &S, mut height: Height) -> Read<Option<Message>, S> {
    let mut blocks = Vec::new();
    let mut bytes = 0_usize;
    while blocks.len() < PAGE_BLOCKS && bytes < PAGE_BYTES {
        let Some(stored) = block(store, height)? else { break };
        let bundles: Vec<EncryptedBundle> =
            block_bundles(store, &stored.block)?.into_iter().map(Arc::unwrap_or_clone).collect();
        let size: usize = bundles.iter().map(EncryptedBundle::size_bytes).sum();
        let size = size.saturating_add(crate::l1::body_bytes(&stored.block.body));
        bytes = bytes.saturating_add(size).saturating_add(1_024);
        blocks.push(Arc::new(DecidedBlock {
            block: stored.block,
            certificate: stored.certificate,
            bundles,
            openings: reveal(store, height)?.map(|reveal| reveal.openings),
        }));
        height = height.next();
    }
    Ok((!blocks.is_empty()).then_some(Message::Decided(blocks)))
}
