//! Real transactions, made and signed by a standard wallet library: every envelope type, and every
//! kind of mistake.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256},
    signers::{SignerSync as _, local::PrivateKeySigner},
};

use super::error::DevnetError;

/// Keys of the mnemonic "test test test test test test test test test test test junk": everybody
/// knows them, and the rollups of a devnet fund their accounts.
pub(crate) const DEV_KEYS: [&str; 10] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
];

/// Far above what a quiet chain asks, far below what the accounts have.
const MAX_FEE_PER_GAS: u128 = 100_000_000_000;
const PRIORITY_FEE_PER_GAS: u128 = 1_000_000_000;
const TRANSFER_GAS: u64 = 21_000;
const CONTRACT_GAS: u64 = 200_000;

/// A counter. Without input it returns its value; a number is added to it, zero reverts.
///
/// ```text
/// 00 CALLDATASIZE PUSH1 0c JUMPI          input? go to 0c
/// 04 PUSH0 SLOAD PUSH0 MSTORE PUSH1 20 PUSH0 RETURN
/// 0c JUMPDEST PUSH0 CALLDATALOAD DUP1 PUSH1 16 JUMPI   not zero? go to 16
/// 13 PUSH0 PUSH0 REVERT
/// 16 JUMPDEST PUSH0 SLOAD ADD PUSH0 SSTORE STOP
/// ```
///
/// In front of it: copy these 29 bytes to memory and return them.
const COUNTER: &str = "601d8060095f395ff3\
    36600c57\
    5f545f5260205ff3\
    5b5f35806016575f5ffd\
    5b5f54015f5500";

/// A raw signed transaction.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// EIP-2718 bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its hash.
    pub(crate) hash: B256,
}

impl Raw {
    fn new(bytes: Vec<u8>) -> Self {
        let hash = keccak256(&bytes);
        Self { bytes, hash }
    }
}

/// An account that signs for one chain.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    signer: PrivateKeySigner,
    chain_id: u64,
    /// The next nonce.
    pub(crate) nonce: u64,
}

/// Which envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// Type 2.
    Eip1559,
    /// Type 1.
    Eip2930,
    /// No type, with the chain id in its signature (EIP-155).
    Legacy,
}

/// What a transaction does.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas: u64,
}

impl Call {
    /// Sends ether.
    pub(crate) fn transfer(to: Address, wei: u64) -> Self {
        let value = U256::from(wei);
        Self { to: to.into(), value, input: Bytes::new(), gas: TRANSFER_GAS }
    }

    /// Creates a counter.
    pub(crate) fn deploy() -> Self {
        // A constant that the tests below run through; empty would only create an empty contract.
        let input = Bytes::from(hex::decode(COUNTER).unwrap_or_default());
        Self { to: TxKind::Create, value: U256::ZERO, input, gas: CONTRACT_GAS }
    }

    /// Adds to a counter; reverts if `number` is zero.
    pub(crate) fn add(counter: Address, number: u64) -> Self {
        let input = U256::from(number).to_be_bytes::<32>().into();
        Self { to: counter.into(), value: U256::ZERO, input, gas: CONTRACT_GAS }
    }

    /// Sends nothing but bytes, with enough gas for them whatever they are.
    pub(crate) fn carry(to: Address, input: Bytes) -> Self {
        let bytes = u64::try_from(input.len()).unwrap_or(u64::MAX);
        // EIP-7623: at most 40 gas a byte.
        let gas = bytes.saturating_mul(40).saturating_add(TRANSFER_GAS);
        Self { to: to.into(), value: U256::ZERO, input, gas }
    }
}

impl Account {
    /// The account of `signer` on a chain, at `nonce`.
    pub(crate) const fn new(signer: PrivateKeySigner, chain_id: u64, nonce: u64) -> Self {
        Self { signer, chain_id, nonce }
    }

    /// Its address.
    pub(crate) const fn address(&self) -> Address {
        self.signer.address()
    }

    /// The address of the contract that the next transaction creates.
    pub(crate) fn next_contract(&self) -> Address {
        self.address().create(self.nonce)
    }

    /// Signs the next transaction.
    pub(crate) fn sign(&mut self, envelope: Envelope, call: Call) -> Result<Raw, DevnetError> {
        let raw = self.sign_at(envelope, call, self.nonce)?;
        self.nonce = self.nonce.saturating_add(1);
        Ok(raw)
    }

    /// Signs with any nonce; the next one stays as it is.
    pub(crate) fn sign_at(
        &self,
        envelope: Envelope,
        call: Call,
        nonce: u64,
    ) -> Result<Raw, DevnetError> {
        let Call { to, value, input, gas: gas_limit } = call;
        let chain_id = self.chain_id;
        let envelope: TxEnvelope = match envelope {
            Envelope::Eip1559 => self.signed(TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: MAX_FEE_PER_GAS,
                max_priority_fee_per_gas: PRIORITY_FEE_PER_GAS,
                to,
                value,
                access_list: Default::default(),
                input,
            })?,
            Envelope::Eip2930 => self.signed(TxEip2930 {
                chain_id,
                nonce,
                gas_price: MAX_FEE_PER_GAS,
                gas_limit,
                to,
                value,
                access_list: Default::default(),
                input,
            })?,
            Envelope::Legacy => self.signed(TxLegacy {
                chain_id: Some(chain_id),
                nonce,
                gas_price: MAX_FEE_PER_GAS,
                gas_limit,
                to,
                value,
                input,
            })?,
        };
        Ok(Raw::new(envelope.encoded_2718()))
    }

    fn signed<T>(&self, transaction: T) -> Result<TxEnvelope, DevnetError>
    where
        T: SignableTransaction<Signature>,
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash())?;
        Ok(transaction.into_signed(signature).into())
    }
}

/// Mistakes that a rollup skips, each with the reason it gives.
pub(crate) fn invalid(
    honest: &Account,
) -> Result<Vec<(&'static str, &'static str, Raw)>, DevnetError> {
    let nobody = Account::new(PrivateKeySigner::random(), honest.chain_id, 0);
    let abroad = Account { chain_id: 1, ..honest.clone() };
    let call = || Call::transfer(nobody.address(), 1);
    let ahead = honest.nonce.saturating_add(1_000);
    // Fresh bytes each time: an outcome is looked up by hash.
    let garbage = [nobody.address().as_slice(), b" is no transaction"].concat();
    Ok(vec![
        ("nonce far ahead", "bad_nonce", honest.sign_at(Envelope::Eip1559, call(), ahead)?),
        (
            "signed for chain 1",
            "wrong_chain",
            abroad.sign_at(Envelope::Eip1559, call(), honest.nonce)?,
        ),
        ("empty account", "underfunded", nobody.sign_at(Envelope::Legacy, call(), 0)?),
        ("not a transaction", "malformed", Raw::new(garbage)),
    ])
}

#[cfg(test)]
mod tests {
    use alloy::eips::eip2718::Decodable2718 as _;

    use super::*;

    fn account(chain_id: u64) -> Account {
        Account::new(DEV_KEYS[0].parse().unwrap(), chain_id, 7)
    }

    #[test]
    fn the_first_dev_key_is_the_well_known_account() {
        let address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse::<Address>().unwrap();
        assert_eq!(account(901).address(), address);
    }

    #[test]
    fn every_envelope_decodes_to_what_was_signed_and_recovers_to_the_signer() {
        use alloy::consensus::Transaction as _;
        let table = [(Envelope::Eip1559, 2), (Envelope::Eip2930, 1), (Envelope::Legacy, 0)];
        for (envelope, kind) in table {
            let mut account = account(901);
            let raw = account.sign(envelope, Call::transfer(Address::ZERO, 5)).unwrap();
            let decoded = TxEnvelope::decode_2718_exact(&raw.bytes).unwrap();
            assert_eq!(u8::from(decoded.tx_type()), kind);
            assert_eq!(decoded.chain_id(), Some(901));
            assert_eq!(decoded.nonce(), 7);
            assert_eq!(*decoded.tx_hash(), raw.hash);
            let hash = decoded.signature_hash();
            let signer = decoded.signature().recover_address_from_prehash(&hash);
            assert_eq!(signer.unwrap(), account.address());
            assert_eq!(account.nonce, 8);
        }
    }

    #[test]
    fn the_counter_has_the_code_that_its_comment_lists() {
        let code = Call::deploy().input;
        assert_eq!(code.len(), 9 + 29);
        assert_eq!(code[1], 29, "the length that is copied");
        assert_eq!(code[4], 9, "where it is copied from");
        assert_eq!((code[9 + 0x0c], code[9 + 0x16]), (0x5b, 0x5b), "both jumps land");
    }

    #[test]
    fn what_is_invalid_is_invalid_for_its_own_reason_only() {
        let honest = account(901);
        let reasons: Vec<_> = invalid(&honest).unwrap().iter().map(|(_, r, _)| *r).collect();
        assert_eq!(reasons, ["bad_nonce", "wrong_chain", "underfunded", "malformed"]);
        for (what, reason, raw) in invalid(&honest).unwrap() {
            let decodes = TxEnvelope::decode_2718_exact(&raw.bytes).is_ok();
            assert_eq!(decodes, reason != "malformed", "{what}");
        }
    }
}
