//! Who pays: an Ethereum key that signs bundle headers by EIP-712, as any wallet can.

use alloy::{
    primitives::B256,
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use conclave_types::{
    BundleHeader, Digest, PayerAddress, PayerSignature, digest::keccak, typed_data_digest,
};

/// Why a key cannot pay.
#[derive(Debug, thiserror::Error)]
pub enum PayerError {
    /// The text is no private key. It is not repeated here: it may be one with a typo.
    #[error("expected a secp256k1 private key: 32 bytes of hexadecimal, not zero")]
    BadKey,
    /// The signer failed.
    #[error("signing failed")]
    Sign(#[source] alloy::signers::Error),
}

/// The key that pays for bundles. Its `Debug` shows the address alone.
#[derive(Clone)]
pub struct Payer {
    signer: PrivateKeySigner,
}

impl std::fmt::Debug for Payer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payer({})", self.address())
    }
}

impl From<PrivateKeySigner> for Payer {
    fn from(signer: PrivateKeySigner) -> Self {
        Self { signer }
    }
}

impl Payer {
    /// Reads a private key: 32 bytes of hexadecimal, with or without `0x`, blanks around it ignored.
    ///
    /// # Errors
    ///
    /// [`PayerError::BadKey`] if it is none.
    pub fn from_hex(text: &str) -> Result<Self, PayerError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = [0_u8; 32];
        let signer = match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) => PrivateKeySigner::from_slice(&bytes).ok(),
            Err(_) => None,
        };
        signer.map(Self::from).ok_or(PayerError::BadKey)
    }

    /// A new key from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        Self::from(PrivateKeySigner::random())
    }

    /// The address that is charged.
    #[must_use]
    pub fn address(&self) -> PayerAddress {
        PayerAddress::new(self.signer.address().into_array())
    }

    /// Signs for a sealed bundle: header, body and capsule together.
    ///
    /// # Errors
    ///
    /// [`PayerError::Sign`] if the signer fails.
    pub fn sign(
        &self,
        header: &BundleHeader,
        body: &[u8],
        capsule: &[u8],
    ) -> Result<PayerSignature, PayerError> {
        self.sign_digest(&typed_data_digest(header, &keccak(body), &keccak(capsule)))
    }

    fn sign_digest(&self, digest: &Digest) -> Result<PayerSignature, PayerError> {
        let hash = B256::new(*digest.as_bytes());
        let signature = self.signer.sign_hash_sync(&hash).map_err(PayerError::Sign)?;
        Ok(PayerSignature::new(signature.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::{Address, FixedBytes, Signature},
        sol,
        sol_types::{SolStruct as _, eip712_domain},
    };
    use conclave_types::{BundleNonce, Gwei, Height, KeyId, NetworkId};

    use super::*;

    sol! {
        /// What a wallet shows.
        struct SealedBundle {
            bytes32 keyId;
            uint8 suite;
            address payer;
            uint64 lane;
            uint64 sequence;
            uint64 maxFeeGwei;
            uint64 priorityFeeGwei;
            uint64 validUntil;
            uint32 bodyBytes;
            bytes32 bodyHash;
            bytes32 capsuleHash;
        }
    }

    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn header(payer: PayerAddress, seed: u64) -> BundleHeader {
        let byte = u8::try_from(seed % 251).unwrap();
        BundleHeader {
            network: NetworkId::new([byte; 32]),
            suite: 1,
            key_id: KeyId::new([byte.wrapping_add(1); 32]),
            payer,
            nonce: BundleNonce { lane: seed, sequence: u64::MAX - seed },
            max_fee: Gwei::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            priority_fee: Gwei::new(seed / 3),
            valid_until: Height::new(seed.wrapping_mul(77)),
            body_bytes: u32::try_from(seed % 100_000).unwrap(),
        }
    }

    fn alloy_digest(header: &BundleHeader, body: &[u8], capsule: &[u8]) -> B256 {
        let domain = eip712_domain! {
            name: "Conclave",
            version: "1",
            salt: FixedBytes::new(*header.network.as_bytes()),
        };
        let bundle = SealedBundle {
            keyId: FixedBytes::new(*header.key_id.as_bytes()),
            suite: header.suite,
            payer: Address::new(*header.payer.as_bytes()),
            lane: header.nonce.lane,
            sequence: header.nonce.sequence,
            maxFeeGwei: header.max_fee.as_u64(),
            priorityFeeGwei: header.priority_fee.as_u64(),
            validUntil: header.valid_until.as_u64(),
            bodyBytes: header.body_bytes,
            bodyHash: alloy::primitives::keccak256(body),
            capsuleHash: alloy::primitives::keccak256(capsule),
        };
        bundle.eip712_signing_hash(&domain)
    }

    #[test]
    fn what_is_signed_is_what_a_wallet_would_sign() {
        let payer = Payer::from_hex(KEY).unwrap();
        for seed in [0, 1, 2, 255, 256, 65_535, 1 << 40, u64::MAX / 3] {
            let header = header(payer.address(), seed);
            let (body, capsule) = (seed.to_be_bytes(), [7_u8; 240]);
            let ours = typed_data_digest(&header, &keccak(&body), &keccak(&capsule));
            assert_eq!(B256::new(*ours.as_bytes()), alloy_digest(&header, &body, &capsule));
        }
    }

    #[test]
    fn the_type_string_is_the_one_of_the_struct() {
        assert_eq!(SealedBundle::eip712_encode_type(), conclave_types::BUNDLE_TYPE);
    }

    #[test]
    fn a_signature_recovers_to_the_payer_with_a_low_s() {
        let payer = Payer::from_hex(KEY).unwrap();
        let header = header(payer.address(), 9);
        let signature = payer.sign(&header, b"body", b"capsule").unwrap();
        assert!(matches!(signature.as_bytes()[64], 27 | 28));
        let parsed = Signature::from_raw_array(signature.as_bytes()).unwrap();
        assert_eq!(parsed.normalize_s(), None);
        let signer =
            parsed.recover_address_from_prehash(&alloy_digest(&header, b"body", b"capsule"));
        assert_eq!(signer.unwrap().into_array(), *payer.address().as_bytes());
    }

    #[test]
    fn a_key_is_read_with_and_without_prefix_and_never_printed() {
        let payer = Payer::from_hex(&format!("  {}\n", &KEY[2..])).unwrap();
        assert_eq!(payer.address(), Payer::from_hex(KEY).unwrap().address());
        assert_eq!(format!("{payer:?}"), "Payer(0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266)");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let zero = "0".repeat(64);
        let above_order = "f".repeat(64);
        for text in ["", "0x", "hunter2", &KEY[..65], &zero, &above_order] {
            let error = Payer::from_hex(text).unwrap_err();
            assert!(matches!(error, PayerError::BadKey));
            assert!(text.len() < 3 || !error.to_string().contains(text));
        }
    }
}
