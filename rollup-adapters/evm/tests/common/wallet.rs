//! A wallet: real signed transactions, made by a standard library.

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEip2930, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
    signers::{SignerSync as _, local::PrivateKeySigner},
};

use super::CHAIN_ID;

/// Keys of the first dev accounts.
const KEYS: [&str; 3] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];

/// Contract: calldata of 32 bytes is stored at slot 0 and logged; without calldata slot 0 is
/// returned; calldata of any other length reverts.
/// `if calldatasize == 0 { return sload(0) } if calldatasize != 32 { revert(0, 0) }
///  sstore(0, calldataload(0)); mstore(0, calldataload(0)); log1(0, 32, 0x2a); stop`
pub const CONTRACT: &str =
    "3615601e5760203614600f575f5ffd5b5f35805f555f52602a60205fa1005b5f545f5260205ff3";

/// Init code that returns [`CONTRACT`].
pub fn init_code() -> Bytes {
    let code = alloy::hex::decode(CONTRACT).unwrap();
    // push1 len, dup1, push1 offset, push0, codecopy, push0, return
    let mut init =
        vec![0x60, u8::try_from(code.len()).unwrap(), 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3];
    init.extend(code);
    init.into()
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub struct Signed {
    pub raw: Vec<u8>,
    pub hash: B256,
}

fn finish(envelope: &TxEnvelope) -> Signed {
    let raw = envelope.encoded_2718();
    let hash = keccak256(&raw);
    assert_eq!(hash, *envelope.hash());
    Signed { raw, hash }
}

#[derive(Clone, Debug)]
pub struct Wallet {
    signer: PrivateKeySigner,
    pub chain_id: u64,
    pub nonce: u64,
}

impl Wallet {
    /// The dev account with this index.
    pub fn dev(index: usize) -> Self {
        Self::of(KEYS[index].parse().unwrap())
    }

    /// An account that nobody has funded.
    pub fn stranger(seed: u8) -> Self {
        Self::of(PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap())
    }

    fn of(signer: PrivateKeySigner) -> Self {
        Self { signer, chain_id: CHAIN_ID, nonce: 0 }
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce - 1
    }

    /// EIP-1559 with room for everything here.
    pub fn send(&mut self, to: impl Into<TxKind>, value: u64, input: Bytes) -> Signed {
        let nonce = self.next_nonce();
        self.sign_1559(TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 300_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: to.into(),
            value: U256::from(value),
            input,
            ..TxEip1559::default()
        })
    }

    pub fn sign_1559(&self, tx: TxEip1559) -> Signed {
        let signature = self.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        finish(&tx.into_signed(signature).into())
    }

    pub fn send_legacy(&mut self, to: Address, value: u64, protected: bool) -> Signed {
        let tx = TxLegacy {
            chain_id: protected.then_some(self.chain_id),
            nonce: self.next_nonce(),
            gas_price: 10_000_000_000,
            gas_limit: 21_000,
            to: to.into(),
            value: U256::from(value),
            input: Bytes::new(),
        };
        let signature = self.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        finish(&tx.into_signed(signature).into())
    }

    pub fn send_2930(&mut self, to: Address, value: u64) -> Signed {
        let tx = TxEip2930 {
            chain_id: self.chain_id,
            nonce: self.next_nonce(),
            gas_price: 10_000_000_000,
            gas_limit: 30_000,
            to: to.into(),
            value: U256::from(value),
            ..TxEip2930::default()
        };
        let signature = self.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        finish(&tx.into_signed(signature).into())
    }

    /// A transfer that gives a nonce that is not the next one.
    pub fn send_with_nonce(&self, nonce: u64, to: Address, value: u64) -> Signed {
        let mut other = self.clone();
        other.nonce = nonce;
        other.send(to, value, Bytes::new())
    }

    pub fn send_on_chain(&self, chain_id: u64, to: Address) -> Signed {
        let mut other = self.clone();
        other.chain_id = chain_id;
        other.send(to, 1, Bytes::new())
    }
}
