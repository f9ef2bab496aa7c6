//! The bytes that are hashed and signed, pinned in `tests/vectors/types-v1.json` for Rust and Solidity
//! alike. The file was computed apart from this code: the typed-data digest and its signature by
//! eth-account 0.14, the block's id and the sharing message by the TypeScript client. Changing it is a
//! protocol change.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests are free to panic; this lets their helpers too"
)]

use conclave_types::{
    BlockBody, BlockHeader, BlockId, BundleHeader, BundleId, BundleNonce, Certificate, Digest,
    EncryptedBundle, Epoch, Gwei, Height, L1Origin, NetworkId, PayerAddress, PayerSignature, Round,
    SharingMessage, SignatureBytes, Time, ValidatorIndex, VoteKind,
    digest::{Position, SigningDomain},
};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/types-v1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn domain(all: &Value) -> SigningDomain {
    let payer: PayerAddress = read(&all["domain"]["l1_contract"]);
    SigningDomain {
        network: read(&all["domain"]["network"]),
        l1_chain_id: number(&all["domain"]["l1_chain_id"]),
        l1_contract: *payer.as_bytes(),
    }
}

fn position(all: &Value) -> Position {
    let at = &all["position"];
    Position {
        epoch: Epoch::new(number(&at["epoch"])),
        height: Height::new(number(&at["height"])),
        round: Round::new(u32::try_from(number(&at["round"])).unwrap()),
    }
}

#[test]
fn votes_and_proposals_sign_the_pinned_digests() {
    let all = vectors();
    let (domain, at) = (domain(&all), position(&all));
    let block: BlockId = read(&all["block"]);
    let (prevote, precommit) = (VoteKind::Prevote.code(), VoteKind::Precommit.code());
    let cases = [
        ("prevote", domain.vote(prevote, at, Some(block))),
        ("precommit", domain.vote(precommit, at, Some(block))),
        ("precommit_nil", domain.vote(precommit, at, None)),
        ("proposal", domain.proposal(at, block, None)),
        ("proposal_with_polka_in_round_1", domain.proposal(at, block, Some(Round::new(1)))),
    ];
    for (name, found) in cases {
        assert_eq!(found, read::<Digest>(&all[name]), "{name}");
    }
}

#[test]
fn shares_and_receipts_sign_the_pinned_digests() {
    let all = vectors();
    let (domain, at) = (domain(&all), position(&all));
    let shares = &all["shares"];
    let found = domain.shares(at.epoch, at.height, read(&all["block"]), read(&shares["root"]));
    assert_eq!(found, read(&shares["digest"]));
    let receipt = &all["receipt"];
    let bundle: BundleId = read(&receipt["bundle"]);
    let deadline = Height::new(number(&receipt["deadline"]));
    let found = domain.receipt(&bundle, number(&receipt["received_micros"]), deadline);
    assert_eq!(found, read(&receipt["digest"]));
}

#[test]
fn a_block_has_the_pinned_id() {
    let all = vectors();
    let (row, at) = (&all["header"], position(&all));
    let header = BlockHeader {
        network: read(&all["domain"]["network"]),
        height: at.height,
        parent: read(&row["parent"]),
        parent_certificate: read(&row["parent_certificate"]),
        proposer: ValidatorIndex::new(u16::try_from(number(&row["proposer"])).unwrap()),
        time: Time::from_micros(number(&row["time_micros"])),
        epoch: at.epoch,
        l1_origin: L1Origin { number: number(&row["l1_number"]), hash: read(&row["l1_hash"]) },
        l1_entries_root: read(&row["l1_entries_root"]),
        key_id: read(&row["key_id"]),
        sharing_root: read(&row["sharing_root"]),
        bundle_root: read(&row["bundle_root"]),
        bundle_count: u32::try_from(number(&row["bundle_count"])).unwrap(),
        revealed_height: Height::new(number(&row["revealed_height"])),
        reveal_digest: read(&row["reveal_digest"]),
        ledger_digest: read(&row["ledger_digest"]),
    };
    assert_eq!(header.id(), read(&row["id"]));
}

#[test]
fn a_sharing_message_has_the_pinned_digest_and_leaf_and_blocks_commit_to_it() {
    let all = vectors();
    let row = &all["sharing_message"];
    let message = SharingMessage {
        epoch: Epoch::new(number(&row["epoch"])),
        round: Round::new(u32::try_from(number(&row["round"])).unwrap()),
        from: ValidatorIndex::new(u16::try_from(number(&row["from"])).unwrap()),
        content: bytes(&row["content"]),
        signature: SignatureBytes::new(bytes(&row["signature"]).try_into().unwrap()),
    };
    assert_eq!(message.digest(&domain(&all)), read(&row["digest"]));
    assert_eq!(message.leaf(), read(&row["leaf"]));
    let body = BlockBody { sharing: vec![message], ..BlockBody::default() };
    assert_eq!(body.sharing_root(), read(&row["root"]));
}

#[test]
fn a_bundle_has_the_pinned_label_typed_data_digest_and_id() {
    let all = vectors();
    let row = &all["bundle"];
    let body = bytes(&row["body"]);
    let bundle = EncryptedBundle {
        header: BundleHeader {
            network: read::<NetworkId>(&all["domain"]["network"]),
            suite: u8::try_from(number(&row["suite"])).unwrap(),
            key_id: read(&row["key_id"]),
            payer: read(&row["payer"]),
            nonce: BundleNonce { lane: number(&row["lane"]), sequence: number(&row["sequence"]) },
            max_fee: Gwei::new(number(&row["max_fee_gwei"])),
            priority_fee: Gwei::new(number(&row["priority_fee_gwei"])),
            valid_until: Height::new(number(&row["valid_until"])),
            body_bytes: u32::try_from(body.len()).unwrap(),
        },
        capsule: bytes(&row["capsule"]),
        body,
        signature: PayerSignature::new(bytes(&row["signature"]).try_into().unwrap()),
    };
    assert_eq!(bundle.header.label(), read(&row["label"]));
    assert_eq!(bundle.signing_digest(), read(&row["typed_data_digest"]));
    assert_eq!(bundle.id(), read(&row["id"]));
}

#[test]
fn a_certificate_has_the_pinned_digest() {
    let all = vectors();
    let (row, at) = (&all["certificate"], position(&all));
    let signers = row["signers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|signer| ValidatorIndex::new(u16::try_from(number(signer)).unwrap()));
    let signatures = row["signatures"].as_array().unwrap().iter();
    let signatures =
        signatures.map(|signature| SignatureBytes::new(bytes(signature).try_into().unwrap()));
    let certificate = Certificate {
        epoch: at.epoch,
        height: at.height,
        round: at.round,
        block: read(&all["block"]),
        signatures: signers.zip(signatures).collect(),
    };
    assert_eq!(certificate.digest(), read(&row["digest"]));
}
