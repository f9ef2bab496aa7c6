//! What a message of a sharing is, and what gives it away.

use conclave_encryption::Message as Content;
use conclave_types::{Block, SharingMessage};

/// Whether a message deals.
pub(crate) fn is_dealing(message: &SharingMessage) -> bool {
    matches!(Content::decode(&message.content), Ok(Content::Deal(_)))
}

/// Whether a block gives away what its builder would rather have said.
pub(crate) fn carries_dealing_of(block: &Block, index: u16) -> bool {
    let mut messages = block.body.sharing.iter();
    messages.any(|message| message.from.as_u16() == index && is_dealing(message))
}
