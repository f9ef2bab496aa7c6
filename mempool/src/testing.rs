//! Bundles and genesis files for this crate's tests.

use std::sync::Arc;

use conclave_types::{
    BundleHeader, BundleNonce, Digest, EncryptedBundle, EncryptionKey, Era, FeeParams, G1Bytes,
    G2Bytes, Genesis, GenesisAccount, Gwei, Height, KeyId, L1Origin, LimitParams, NetworkId,
    Params, PayerAddress, PayerSignature, Time, digest::keccak,
};

use crate::{
    admission::Verified,
    ledger::{Charge, Ledger, Turn},
};

/// A bundle of the smallest size costs 1,000.
pub(crate) const BODY_BYTES: u32 = 272;
pub(crate) const BASE_FEE: u64 = 1_000;

pub(crate) fn payer(number: u16) -> PayerAddress {
    let [high, low] = number.to_be_bytes();
    let mut address = [0; 20];
    (address[0], address[1]) = (high, low);
    PayerAddress::new(address)
}

pub(crate) fn params() -> Params {
    let defaults = Params::default();
    Params {
        fees: FeeParams { bundle_fee_gwei: BASE_FEE, byte_fee_gwei: 0 },
        limits: LimitParams { block_bundles_max: 8, ..defaults.limits.clone() },
        ..defaults
    }
}

pub(crate) fn genesis(balances: &[(PayerAddress, u64)]) -> Genesis {
    let account = |(address, gwei): &(PayerAddress, u64)| GenesisAccount {
        address: *address,
        balance: Gwei::new(*gwei),
    };
    Genesis {
        name: "test".to_owned(),
        time: Time::ZERO,
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
        params: params(),
        members: Vec::new(),
        encryption_key: Some(EncryptionKey {
            suite: 1,
            era: Era::ZERO,
            secrecy: 2,
            packing: 1,
            public_key: G1Bytes::ZERO,
            public_key_g2: G2Bytes::ZERO,
            verification_keys: Vec::new(),
        }),
        rollups: Vec::new(),
        accounts: balances.iter().map(account).collect(),
    }
}

pub(crate) fn ledger(balances: &[(PayerAddress, u64)]) -> Ledger {
    Ledger::new(&genesis(balances))
}

/// A block inside an epoch, of a validator without a number, that carries nothing of L1.
pub(crate) const fn turn(height: Height, charges: &[Charge]) -> Turn<'_> {
    Turn { height, charges, entries: &[], proposer: 0, cheats: &[], ends_epoch: false }
}

pub(crate) fn header(payer: PayerAddress, lane: u64, sequence: u64, priority: u64) -> BundleHeader {
    BundleHeader {
        network: NetworkId::ZERO,
        suite: 1,
        key_id: KeyId::ZERO,
        payer,
        nonce: BundleNonce { lane, sequence },
        max_fee: Gwei::new(BASE_FEE + priority),
        priority_fee: Gwei::new(priority),
        valid_until: Height::new(100),
        body_bytes: BODY_BYTES,
    }
}

/// An unsealed bundle: enough for the pool, which never looks inside.
pub(crate) fn bundle(header: BundleHeader) -> Arc<EncryptedBundle> {
    Arc::new(EncryptedBundle {
        body: vec![0; header.body_bytes as usize],
        header,
        capsule: vec![0; 224],
        signature: PayerSignature::new([0; 65]),
    })
}

pub(crate) fn verified(bundle: &EncryptedBundle) -> Verified {
    let id = bundle.id();
    let mut point = [0; 48];
    point[..32].copy_from_slice(keccak(id.as_bytes()).as_bytes());
    Verified::for_test(id, G1Bytes::new(point))
}
