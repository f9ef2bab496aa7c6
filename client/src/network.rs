//! Which network this is, and what can be checked from its genesis: the first committee, those that follow it as far
//! as they are shown, and with them every receipt and every decision.

mod certified;
mod elected;

use std::sync::Arc;

use conclave_encryption::{KeyError, SealingKey};
use conclave_grpc::messages as v1;
use conclave_types::{
    BlockBody, BlockHeader, BundleId, Certificate, Committee, Digest, Epoch, Era, G1Bytes, G2Bytes,
    Genesis, Gwei, Height, KeyId, NetworkId, PayerAddress, SignatureBytes, ValidatorIndex,
    digest::SigningDomain,
    next_key_root,
    wire::{self, WireError},
};

use crate::ClientError;

use self::elected::Elected;

/// A genesis whose digest is the network id, with what follows from it.
///
/// In a network with an L1, committees change. Each epoch's last commitment names the next committee and is signed by
/// a quorum of its own, so whoever trusts the genesis can follow them one by one ([`Network::elect`]). Clones share
/// what they have learned.
#[derive(Clone)]
pub struct Network {
    genesis: Genesis,
    id: NetworkId,
    elected: Arc<Elected>,
    domain: SigningDomain,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({}, {})", self.genesis.name, self.id)
    }
}

impl Network {
    /// Checks a genesis as a whole.
    ///
    /// # Errors
    ///
    /// Says what contradicts what.
    pub fn new(genesis: Genesis) -> Result<Self, ClientError> {
        let committee = genesis.validate().map_err(ClientError::Genesis)?;
        let id = genesis.network_id();
        let domain = SigningDomain::of(&genesis);
        let changes = genesis.l1_contract != PayerAddress::ZERO;
        let elected = Arc::new(Elected::new(Arc::new(committee), changes));
        Ok(Self { genesis, id, elected, domain })
    }

    /// Reads what a validator serves; nothing of it is believed but what the digest covers.
    pub(crate) fn from_wire(
        info: &v1::GetNetworkInfoResponse,
        pin: Option<NetworkId>,
    ) -> Result<Self, ClientError> {
        let claimed = wire::id(&info.network_id, "network_id", NetworkId::from_slice)?;
        let genesis: Genesis =
            serde_json::from_str(&info.genesis_json).map_err(ClientError::GenesisJson)?;
        let found = genesis.network_id();
        if found != claimed {
            return Err(ClientError::GenesisDigest { expected: claimed, found });
        }
        if let Some(expected) = pin.filter(|pin| *pin != found) {
            return Err(ClientError::WrongNetwork { expected, found });
        }
        Self::new(genesis)
    }

    /// The genesis.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The network's id.
    #[must_use]
    pub const fn id(&self) -> NetworkId {
        self.id
    }

    /// The validators of the genesis.
    #[must_use]
    pub fn committee(&self) -> &Committee {
        self.elected.first()
    }

    /// The validators of an epoch, if it has been shown who they are.
    #[must_use]
    pub fn committee_of(&self, epoch: Epoch) -> Option<Arc<Committee>> {
        self.elected.of(epoch)
    }

    /// The first epoch of which it has not been shown yet whom L1 elected; none if committees never change.
    #[must_use]
    pub fn next_election(&self) -> Option<Epoch> {
        self.elected.next()
    }

    /// Takes the committee of [`Network::next_election`], if the certificate shows that the one before it names it.
    /// An epoch that is known already changes nothing.
    ///
    /// A quorum of the committee before signed for it. Who asks somebody that has left long ago, and has nothing at
    /// stake any more, is told what it likes: those who come back after longer than stake is bonded ask L1.
    ///
    /// # Errors
    ///
    /// [`ClientError::Election`], or what is malformed.
    pub fn elect(&self, elected: &v1::ElectedCommittee) -> Result<(), ClientError> {
        self.elected.elect(elected, &self.domain)
    }

    /// The key that the genesis brings, if it brings one; otherwise the validators make it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Key`] if it is not usable.
    pub fn genesis_key(&self) -> Result<Option<SealingKey>, ClientError> {
        let key = self.genesis.encryption_key.as_ref();
        key.map(|key| self.parse_key(key.suite, key.era, key.public_key, key.public_key_g2))
            .transpose()
    }

    /// Checks the key to seal to that a validator serves. It counts if the genesis brings it, or if a
    /// quorum has decided a block that names it, be it as the key of the era to come.
    ///
    /// # Errors
    ///
    /// [`ClientError::ForeignKey`] if nothing vouches for the key, or what is malformed.
    pub fn verify_key(
        &self,
        response: &v1::GetEncryptionKeyResponse,
    ) -> Result<SealingKey, ClientError> {
        let suite = u8::try_from(response.suite)
            .or(Err(WireError::TooLarge { field: "suite", found: u64::from(response.suite) }))?;
        let key = self.parse_key(
            suite,
            Era::new(response.era),
            wire::id(&response.public_key, "public_key", G1Bytes::from_slice)?,
            wire::id(&response.public_key_g2, "public_key_g2", G2Bytes::from_slice)?,
        )?;
        let found = key.id();
        let expected = match &self.genesis.encryption_key {
            Some(first) if key.era() <= first.era => first.id(&self.id),
            Some(_) | None => self.certified_key(response, found)?,
        };
        if found == expected { Ok(key) } else { Err(ClientError::ForeignKey { expected, found }) }
    }

    /// Its id does not cover the suite, and no key serves two.
    fn parse_key(
        &self,
        found: u8,
        era: Era,
        pk: G1Bytes,
        pk_g2: G2Bytes,
    ) -> Result<SealingKey, ClientError> {
        let expected = self.genesis.params.sharing.suite;
        if found != expected {
            return Err(ClientError::Key(KeyError::AnotherSuite { expected, found }));
        }
        SealingKey::new(self.id, found, era, pk, pk_g2).map_err(ClientError::Key)
    }

    /// The key that the block in the answer names; `found`, if it names that as the next era's.
    fn certified_key(
        &self,
        response: &v1::GetEncryptionKeyResponse,
        found: KeyId,
    ) -> Result<KeyId, ClientError> {
        let header = response.header.as_ref().ok_or(WireError::Missing("header"))?;
        let header = BlockHeader::try_from(header)?;
        let certificate = response.certificate.as_ref().ok_or(WireError::Missing("certificate"))?;
        self.verify_header(&header, &Certificate::try_from(certificate)?)?;
        if response.messages_root.is_empty() {
            return Ok(header.key_id);
        }
        let root = wire::id(&response.messages_root, "messages_root", Digest::from_slice)?;
        let is_next = header.sharing_root == next_key_root(&found, &root);
        Ok(if is_next { found } else { header.key_id })
    }

    /// Checks that a quorum has decided the block with this header.
    fn verify_header(
        &self,
        header: &BlockHeader,
        certificate: &Certificate,
    ) -> Result<(), ClientError> {
        // Only its own: later on, whoever had the keys of an earlier one could make up blocks that nobody decided.
        let epoch = header.epoch;
        let committee = self.committee_of(epoch);
        let committee = committee.ok_or(ClientError::UnknownCommittee { epoch })?;
        let statement = certificate.verify(&committee, &self.domain)?;
        if header.network != self.id {
            return Err(ClientError::Inconsistent("the block is of this network"));
        }
        if statement.block != header.id() || statement.height != header.height {
            return Err(ClientError::Inconsistent("the certificate is for this header"));
        }
        if certificate.epoch != header.epoch {
            return Err(ClientError::Inconsistent("certificate and header are of one epoch"));
        }
        Ok(())
    }

    /// What a ciphertext body of `body_bytes` is charged, with a priority fee; the most there is if
    /// that does not fit.
    #[must_use]
    pub fn fee(&self, body_bytes: u32, priority_fee: Gwei) -> Gwei {
        let charge = self.genesis.params.fees.charge(body_bytes, priority_fee);
        charge.unwrap_or(Gwei::new(u64::MAX))
    }

    /// Checks that a receipt is for `expected` and signed by the validator that it names, with the key that it has in
    /// the newest committee that has been shown.
    ///
    /// # Errors
    ///
    /// [`ClientError::BadReceipt`], or what is malformed.
    pub fn verify_receipt(
        &self,
        receipt: &v1::Receipt,
        expected: BundleId,
    ) -> Result<Receipt, ClientError> {
        let id = wire::id(&receipt.bundle_id, "bundle_id", BundleId::from_slice)?;
        if id != expected {
            return Err(ClientError::Inconsistent("a receipt is for the bundle handed in"));
        }
        let Ok(index) = u16::try_from(receipt.validator) else {
            let found = u64::from(receipt.validator);
            return Err(WireError::TooLarge { field: "validator", found }.into());
        };
        let validator = ValidatorIndex::new(index);
        let deadline = Height::new(receipt.deadline_height);
        let digest = self.domain.receipt(&id, receipt.received_micros, deadline);
        if !self.is_signed_by(validator, &digest, &receipt.signature) {
            return Err(ClientError::BadReceipt { id, validator });
        }
        Ok(Receipt { id, validator, received_micros: receipt.received_micros, deadline })
    }

    fn is_signed_by(&self, validator: ValidatorIndex, digest: &Digest, signature: &[u8]) -> bool {
        let Ok(signature) = signature.try_into().map(SignatureBytes::new) else { return false };
        let committee = self.elected.newest_with(validator);
        let member = committee.as_ref().and_then(|committee| committee.get(validator));
        member.is_some_and(|member| member.consensus_key.has_signed(digest, &signature))
    }

    /// Checks that a quorum decided the block that a validator serves: the certificate, the header
    /// that it names, and the bundles that the header names.
    ///
    /// # Errors
    ///
    /// Says what does not hold.
    pub fn verify_decided(
        &self,
        response: &v1::GetBlockResponse,
    ) -> Result<DecidedBlock, ClientError> {
        let header = response.header.as_ref().ok_or(WireError::Missing("header"))?;
        let header = BlockHeader::try_from(header)?;
        let certificate = response.certificate.as_ref().ok_or(WireError::Missing("certificate"))?;
        let certificate = Certificate::try_from(certificate)?;
        let ids = response.bundle_ids.iter();
        let bundles = ids
            .map(|bytes| wire::id(bytes, "bundle_ids", BundleId::from_slice))
            .collect::<Result<Vec<_>, _>>()?;
        self.verify_header(&header, &certificate)?;
        let body = BlockBody { bundles, ..BlockBody::default() };
        let is_count_right = u32::try_from(body.bundles.len()) == Ok(header.bundle_count);
        if !is_count_right || body.bundle_root() != header.bundle_root {
            return Err(ClientError::Inconsistent("the header commits to these bundles"));
        }
        Ok(DecidedBlock { header, certificate, bundles: body.bundles })
    }
}

/// A validator's signed word that it has a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The bundle.
    pub id: BundleId,
    /// Who signed.
    pub validator: ValidatorIndex,
    /// That validator's clock, in microseconds since the Unix epoch.
    pub received_micros: u64,
    /// Included by this height, if it keeps its word.
    pub deadline: Height,
}

/// A block with the proof that a quorum decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBlock {
    /// The header.
    pub header: BlockHeader,
    /// The proof.
    pub certificate: Certificate,
    /// The bundles, in block order.
    pub bundles: Vec<BundleId>,
}

#[cfg(test)]
pub(crate) mod tests;
