//! A whole sharing in one process, with nobody missing and nothing in the way: how a simulated world or a
//! test comes to a key before its first block. For these only: the feature `rehearsal` is theirs. Nobody deals the key, but
//! whoever rehearses has every share of it.

use conclave_types::{EncryptionKey, Epoch, Era, NetworkId, Round, digest::Hasher};

use crate::{
    Packing, SecretShare, Suite,
    dkg::{
        AdvanceError, DealError, Dkg, HolderKey, Holders, Message, Refusal, Session, SessionError,
        SessionId, ShareUnavailable,
    },
    packing::PackingError,
};

/// Why a rehearsal came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// There are too few or too many parties.
    #[error(transparent)]
    Parties(#[from] PackingError),
    /// The suite has no such sharing.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A message was refused.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// A stage did not end.
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    /// A party could not deal.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// A party could not read its share.
    #[error(transparent)]
    Share(#[from] ShareUnavailable),
}

/// Has parties with one point each make a key of `suite` for `era`, as many dealing as must. The key, and the share of every
/// party in their order, are a function of all that is given.
///
/// # Errors
///
/// [`RehearsalError`] if the suite cannot be shared like that.
pub fn rehearse(
    suite: Suite,
    packing: Packing,
    era: Era,
    seed: &[u8; 32],
) -> Result<(EncryptionKey, Vec<SecretShare>), RehearsalError> {
    let holders = Holders::one_each(usize::from(packing.parties()))?;
    let own_seed = |tag: &'static str, number: u16| {
        *Hasher::new(tag).fixed(seed).u16(number).finish().as_bytes()
    };
    let network = NetworkId::new(own_seed("conclave/rehearsal/v1", packing.parties()));
    let id = SessionId { network, era, epoch: Epoch::ZERO, round: Round::ZERO };
    let session = Session::fresh(id, suite, holders, packing)?;
    let parties = session.holders().iter().map(|(validator, _)| validator);
    let keys: Vec<HolderKey> = parties
        .map(|party| {
            let seed = own_seed("conclave/rehearsal-holder/v1", party.as_u16());
            HolderKey::derive(&session, party, &seed)
        })
        .collect();
    let mut dkg = Dkg::new(session.clone());
    for key in &keys {
        dkg.apply(key.validator(), &Message::Register(key.registration(&session)))?;
    }
    dkg.close_registration()?;
    for key in keys.iter().take(usize::from(session.required())) {
        let party = key.validator();
        let seed = own_seed("conclave/rehearsal-dealing/v1", party.as_u16());
        let dealing = dkg.deal(party, &seed)?;
        dkg.apply(party, &Message::Deal(Box::new(dealing)))?;
    }
    dkg.close_dealing()?;
    let outcome = dkg.finish()?;
    let shares = keys.iter().map(|key| dkg.my_share(key, key.validator().as_u16()));
    Ok((outcome.key().encryption_key().clone(), shares.collect::<Result<_, _>>()?))
}
