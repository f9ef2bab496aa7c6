//! Real Ethereum transactions, signed by a standard wallet library.

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, Bytes, U256},
    signers::{SignerSync as _, local::PrivateKeySigner},
};

/// The first keys of the mnemonic that ends in "junk": funded on every rollup of a test.
pub(crate) const DEV_KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// Whom transfers go to: nobody, so that its balance is the sum of them.
pub(crate) const SINK: Address = Address::repeat_byte(0x51);

/// The signed transfer of `wei` to [`SINK`], as EIP-2718 bytes.
pub(crate) fn transfer(key: &str, chain_id: u64, nonce: u64, wei: u64) -> Vec<u8> {
    let signer: PrivateKeySigner = key.parse().expect("a well-known key");
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: SINK.into(),
        value: U256::from(wei),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash()).expect("signs");
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}
