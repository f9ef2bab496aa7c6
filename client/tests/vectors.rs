//! `tests/vectors/sealed-bundle-v1.json`, which the TypeScript client computed from
//! `docs/spec/sealed-bundle.md`: what it sealed is what we would have, what it says must be refused is.
//! Nothing here computes the file, so that the two check each other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests are free to panic; this lets their helpers too"
)]

use std::sync::Arc;

use conclave_client::{ClientError, Network, messages as v1};
use conclave_derivation::{Drawable, order};
use conclave_encryption::{
    Encapsulation, PublicKey, SealedBlock, SealingKey, beacon, open_bundle, seal,
};
use conclave_mempool::admission::{AdmittedKeys, Rules, check_form, verify};
use conclave_types::{
    EncryptedBundle, Epoch, Era, G1Bytes, G2Bytes, Height, Leg, NetworkId, Opening, RollupId,
    SettlementCertificate, UndecryptableReason, digest::SigningDomain,
};
use rand_core::{CryptoRng, RngCore};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/sealed-bundle-v1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn network(all: &Value) -> Network {
    let genesis = serde_json::from_str(all["network"]["genesis"].as_str().unwrap()).unwrap();
    Network::new(genesis).unwrap()
}

/// The key of the network whose genesis brings one.
fn key_of(network: &Network) -> SealingKey {
    network.genesis_key().unwrap().unwrap()
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().unwrap().iter()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

/// Numbers are decimal strings where they may be above 2^53.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn small(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn bundle(row: &Value) -> EncryptedBundle {
    borsh::from_slice(&bytes(&row["bytes"])).unwrap()
}

/// A random source that says the pinned bytes.
struct Coins([u8; 32]);

impl CryptoRng for Coins {}

impl RngCore for Coins {
    fn next_u32(&mut self) -> u32 {
        panic!("coins are asked for as a whole")
    }

    fn next_u64(&mut self) -> u64 {
        panic!("coins are asked for as a whole")
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        to.copy_from_slice(&self.0);
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

/// What a validator says at its door, at a height at which every pinned bundle is in time.
fn admits(network: &Network, bundle: EncryptedBundle) -> bool {
    let decided = Height::new(bundle.header.valid_until.as_u64().saturating_sub(1));
    let keys = AdmittedKeys::only(key_of(network).id());
    check_form(&bundle, &Rules::new(network.genesis()), &keys, decided).is_ok()
        && verify(&[Arc::new(bundle)], &key_of(network), &[9; 32]).iter().all(Result::is_ok)
}

#[test]
fn the_network_and_its_key_have_the_pinned_ids() {
    let all = vectors();
    let network = network(&all);
    assert_eq!(network.id(), read(&all["network"]["id"]));
    assert_eq!(key_of(&network).id(), read(&all["network"]["key_id"]));
    assert_eq!(network.committee().quorum_power(), number(&all["network"]["quorum_power"]));
}

#[test]
fn every_bundle_has_the_pinned_parts_and_is_what_we_would_have_sealed() {
    let all = vectors();
    let network = network(&all);
    for row in rows(&all["bundles"]) {
        let about = &row["about"];
        let bundle = bundle(row);
        assert_eq!(borsh::to_vec(&bundle.header).unwrap(), bytes(&row["header"]), "{about}");
        assert_eq!(bundle.header.label(), read(&row["label"]), "{about}");
        assert_eq!(bundle.signing_digest(), read(&row["typed_data_digest"]), "{about}");
        assert_eq!(bundle.id(), read(&row["id"]), "{about}");
        let Some(legs) = row["legs"].as_array() else { continue };
        let legs: Vec<Leg> = legs
            .iter()
            .map(|leg| Leg {
                rollup: RollupId::new(number(&leg["rollup"])),
                transaction: bytes(&leg["transaction"]),
            })
            .collect();
        let coins = Coins(bytes(&row["coins"]).try_into().unwrap());
        let sealed = seal(&key_of(&network), bundle.header.clone(), &legs, coins).unwrap();
        assert_eq!((sealed.capsule, sealed.body), (bundle.capsule, bundle.body), "{about}");
    }
}

#[test]
fn validators_admit_the_bundles_and_refuse_those_that_are_wrong() {
    let all = vectors();
    let network = network(&all);
    for row in rows(&all["bundles"]) {
        // Nobody can be charged more than there is: one row has every number at its widest.
        let is_payable = number(&row["priority_fee_gwei"]) < u64::MAX;
        assert_eq!(admits(&network, bundle(row)), is_payable, "{}", row["about"]);
    }
    for row in rows(&all["odd_bundles"]) {
        assert!(admits(&network, bundle(row)), "{}", row["about"]);
    }
    for row in rows(&all["refused"]["bundles"]["unacceptable"]) {
        assert!(!admits(&network, bundle(row)), "{}", row["about"]);
    }
    for row in rows(&all["refused"]["bundles"]["undecodable"]) {
        let read = borsh::from_slice::<EncryptedBundle>(&bytes(&row["bytes"]));
        assert_eq!(read.ok(), None, "{}", row["about"]);
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let all = vectors();
    let id: NetworkId = read(&all["network"]["id"]);
    let network_suite = network(&all).genesis().params.sharing.suite;
    for row in rows(&all["refused"]["keys"]) {
        let suite = u8::try_from(number(&row["suite"])).unwrap();
        let era = Era::new(small(&row["era"]));
        let pk = read::<G1Bytes>(&row["public_key"]);
        let pk_g2 = read::<G2Bytes>(&row["public_key_g2"]);
        // A client looks at the suite first: it is the network's or the key is none.
        let is_usable =
            suite == network_suite && SealingKey::new(id, suite, era, pk, pk_g2).is_ok();
        assert!(!is_usable, "{}", row["about"]);
    }
}

fn receipt(row: &Value) -> v1::Receipt {
    v1::Receipt {
        bundle_id: bytes(&row["bundle_id"]),
        validator: small(&row["validator"]),
        received_micros: number(&row["received_micros"]),
        deadline_height: number(&row["deadline_height"]),
        signature: bytes(&row["signature"]),
    }
}

#[test]
fn the_receipt_verifies_and_wrong_ones_do_not() {
    let all = vectors();
    let network = network(&all);
    let id = read(&all["receipt"]["bundle_id"]);
    let accepted = network.verify_receipt(&receipt(&all["receipt"]), id).unwrap();
    assert_eq!(accepted.deadline.as_u64(), number(&all["receipt"]["deadline_height"]));
    for row in rows(&all["refused"]["receipts"]) {
        let refused = network.verify_receipt(&receipt(row), id).unwrap_err();
        let is_refusal =
            matches!(refused, ClientError::BadReceipt { .. } | ClientError::Inconsistent(_));
        assert!(is_refusal, "{}: {refused}", row["about"]);
    }
}

fn certificate(row: &Value) -> v1::Certificate {
    v1::Certificate {
        epoch: number(&row["epoch"]),
        height: number(&row["height"]),
        round: small(&row["round"]),
        block_id: bytes(&row["block_id"]),
        signatures: rows(&row["signatures"])
            .map(|entry| v1::CertificateSignature {
                validator: small(&entry["validator"]),
                signature: bytes(&entry["signature"]),
            })
            .collect(),
    }
}

fn header(row: &Value) -> v1::BlockHeader {
    v1::BlockHeader {
        network_id: bytes(&row["network"]),
        height: number(&row["height"]),
        parent: bytes(&row["parent"]),
        parent_certificate: bytes(&row["parent_certificate"]),
        proposer: small(&row["proposer"]),
        time_micros: number(&row["time_micros"]),
        epoch: number(&row["epoch"]),
        l1_origin: Some(v1::L1Origin {
            number: number(&row["l1_number"]),
            hash: bytes(&row["l1_hash"]),
        }),
        l1_entries_root: bytes(&row["l1_entries_root"]),
        key_id: bytes(&row["key_id"]),
        sharing_root: bytes(&row["sharing_root"]),
        bundle_root: bytes(&row["bundle_root"]),
        bundle_count: small(&row["bundle_count"]),
        revealed_height: number(&row["revealed_height"]),
        reveal_digest: bytes(&row["reveal_digest"]),
        ledger_digest: bytes(&row["ledger_digest"]),
    }
}

/// Keys are served with the block that vouches for them, if the genesis brings none.
fn key_response(row: &Value) -> v1::GetEncryptionKeyResponse {
    let row = &row["response"];
    v1::GetEncryptionKeyResponse {
        network_id: bytes(&row["network_id"]),
        key_id: bytes(&row["key_id"]),
        suite: small(&row["suite"]),
        era: small(&row["era"]),
        public_key: bytes(&row["public_key"]),
        public_key_g2: bytes(&row["public_key_g2"]),
        header: Some(&row["header"]).filter(|row| !row.is_null()).map(header),
        certificate: Some(&row["certificate"]).filter(|row| !row.is_null()).map(certificate),
        messages_root: Some(&row["messages_root"])
            .filter(|row| !row.is_null())
            .map(bytes)
            .unwrap_or_default(),
        ..v1::GetEncryptionKeyResponse::default()
    }
}

/// The network that a row is about: its genesis brings the key, or its validators make it.
fn network_of(all: &Value, row: &Value) -> Network {
    let genesis = &all[row["network"].as_str().unwrap()]["genesis"];
    Network::new(serde_json::from_str(genesis.as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_network_whose_validators_make_the_key_has_the_pinned_id() {
    let all = vectors();
    let row = &all["keyless_network"];
    let network = Network::new(serde_json::from_str(row["genesis"].as_str().unwrap()).unwrap());
    let network = network.unwrap();
    assert_eq!(network.id(), read(&row["id"]));
    assert_eq!(network.genesis_key().unwrap().map(|key| key.id()), None);
}

#[test]
fn keys_that_the_genesis_or_a_quorum_vouches_for_are_accepted() {
    let all = vectors();
    for row in rows(&all["key_responses"]) {
        let key = network_of(&all, row).verify_key(&key_response(row)).unwrap();
        assert_eq!(key.id(), read(&row["response"]["key_id"]), "{}", row["about"]);
    }
}

#[test]
fn keys_that_nobody_vouches_for_are_refused_for_what_is_wrong_with_them() {
    let all = vectors();
    for row in rows(&all["refused"]["key_responses"]) {
        let refused = network_of(&all, row).verify_key(&key_response(row)).unwrap_err();
        let is_named = match row["fault"].as_str().unwrap() {
            "Encoding" => matches!(refused, ClientError::Wire(_)),
            "Verification" => {
                let is_committee = matches!(refused, ClientError::UnknownCommittee { .. });
                is_committee
                    || matches!(refused, ClientError::Certificate(_) | ClientError::Inconsistent(_))
            }
            "Key" => matches!(refused, ClientError::Key(_)),
            "ForeignKey" => matches!(refused, ClientError::ForeignKey { .. }),
            other => panic!("{}: no fault is named {other}", row["about"]),
        };
        assert!(is_named, "{}: {refused}", row["about"]);
    }
}

fn decided(all: &Value, certified: &Value) -> v1::GetBlockResponse {
    v1::GetBlockResponse {
        block_id: bytes(&all["block"]["id"]),
        header: Some(header(&all["block"]["header"])),
        certificate: Some(certificate(certified)),
        bundle_ids: rows(&all["block"]["bundle_ids"]).map(bytes).collect(),
        reveal: None,
    }
}

#[test]
fn the_block_is_decided_and_wrong_certificates_prove_nothing() {
    let all = vectors();
    let network = network(&all);
    let block = network.verify_decided(&decided(&all, &all["block"]["certificate"])).unwrap();
    assert_eq!(block.header.id(), read(&all["block"]["id"]));
    for row in rows(&all["refused"]["certificates"]) {
        let refused = network.verify_decided(&decided(&all, &row["certificate"]));
        assert!(refused.is_err(), "{}", row["about"]);
    }
}

fn elected(row: &Value) -> v1::ElectedCommittee {
    let members = rows(&row["members"]).map(|member| v1::CommitteeMember {
        validator: small(&member["validator"]),
        number: small(&member["number"]),
        power: number(&member["power"]),
        consensus_key: bytes(&member["consensus_key"]),
        settlement_key: bytes(&member["settlement_key"]),
        network_key: bytes(&member["network_key"]),
        name: member["name"].as_str().unwrap().to_owned(),
    });
    let certificate = row["certificate"].as_object().map(|certificate| {
        let commitment = &certificate["commitment"];
        let end = commitment["epoch_end"].as_object();
        v1::SettlementCertificate {
            commitment: Some(v1::BlockCommitment {
                epoch: number(&commitment["epoch"]),
                height: number(&commitment["height"]),
                block_id: bytes(&commitment["block_id"]),
                history_root: bytes(&commitment["history_root"]),
                reveal_root: bytes(&commitment["reveal_root"]),
                rollup_count: small(&commitment["rollup_count"]),
                l1_origin: Some(v1::L1Origin {
                    number: number(&commitment["l1_number"]),
                    hash: bytes(&commitment["l1_hash"]),
                }),
                forced_cursor: number(&commitment["forced_cursor"]),
                withdrawals_root: bytes(&commitment["withdrawals_root"]),
                epoch_end: end.map(|end| v1::EpochEnd {
                    next_committee: bytes(&end["next_committee"]),
                    dkg_result: bytes(&end["dkg_result"]),
                }),
            }),
            signers: rows(&certificate["signers"]).map(small).collect(),
            signature: bytes(&certificate["signature"]),
        }
    });
    v1::ElectedCommittee { epoch: number(&row["epoch"]), members: members.collect(), certificate }
}

#[test]
fn the_committees_are_followed_and_what_names_nobody_is_not() {
    let all = vectors();
    for row in rows(&all["refused"]["committees"]) {
        let (network, about) = (network(&all), &row["about"]);
        let refused = network.elect(&elected(row)).unwrap_err();
        assert!(
            matches!(refused, ClientError::Wire(_) | ClientError::Election { .. }),
            "{about}: {refused}"
        );
        assert_eq!(network.next_election().unwrap().as_u64(), 2, "{about}");
    }
    let network = network(&all);
    let domain = SigningDomain::of(network.genesis());
    for row in rows(&all["committees"]) {
        let elected = elected(row);
        network.elect(&elected).unwrap();
        let committee = network.committee_of(Epoch::new(elected.epoch)).unwrap();
        assert_eq!(committee.settlement_digest(), read(&row["committee_digest"]));
        let certificate = SettlementCertificate::try_from(elected.certificate.as_ref().unwrap());
        let digest = domain.commitment(&certificate.unwrap().commitment);
        assert_eq!(digest, read(&row["commitment_digest"]));
    }
    assert_eq!(network.next_election().unwrap().as_u64(), 4);
}

fn sealed_block(all: &Value, network: &Network) -> SealedBlock {
    let key = network.genesis().encryption_key.as_ref().unwrap();
    let key = PublicKey::new(network.id(), key).unwrap();
    let sealed: Vec<_> = rows(&all["bundles"])
        .map(|row| {
            let bundle = bundle(row);
            Encapsulation::of(&bundle.header, &bundle.capsule).unwrap()
        })
        .collect();
    let height = Height::new(number(&all["block"]["header"]["height"]));
    SealedBlock::new(&key, height, read(&all["block"]["id"]), &sealed).unwrap()
}

#[test]
fn the_openings_are_accepted_and_wrong_ones_are_not() {
    let all = vectors();
    let network = network(&all);
    let block = sealed_block(&all, &network);
    let openings: Vec<Opening> = rows(&all["reveal"]["openings"])
        .map(|row| Opening::from_slice(&bytes(row)).unwrap())
        .collect();
    assert!(block.check(&openings, &[9; 32]));
    assert_eq!(beacon(&openings[0]), read(&all["reveal"]["beacon"]));
    for row in rows(&all["refused"]["openings"]) {
        let wrong = Opening::from_slice(&bytes(&row["opening"]));
        assert_eq!(wrong.is_err(), row["fault"] == "Encoding", "{}", row["about"]);
        let Ok(wrong) = wrong else { continue };
        let mut openings = openings.clone();
        let place = row["bundle"].as_u64().map_or(0, |bundle| bundle + 1);
        openings[usize::try_from(place).unwrap()] = wrong;
        assert!(!block.check(&openings, &[9; 32]), "{}", row["about"]);
    }
}

#[test]
fn the_beacon_draws_the_pinned_order() {
    let all = vectors();
    let bundles: Vec<Drawable> = rows(&all["bundles"])
        .map(|row| {
            let bundle = bundle(row);
            let header = &bundle.header;
            Drawable { id: bundle.id(), payer: header.payer, nonce: header.nonce }
        })
        .collect();
    let drawn = order(&read(&all["reveal"]["beacon"]), &bundles);
    let pinned: Vec<_> = rows(&all["reveal"]["order"])
        .map(|row| (usize::try_from(number(&row["bundle"])).unwrap(), read(&row["draw"])))
        .collect();
    assert_eq!(drawn.iter().map(|place| (place.index, place.draw)).collect::<Vec<_>>(), pinned);
}

#[test]
fn every_bundle_opens_to_the_pinned_outcome() {
    let all = vectors();
    for row in rows(&all["bundles"]) {
        let bundle = bundle(row);
        let u = G1Bytes::from_slice(&bundle.capsule[..48]);
        let opening = Opening::from_slice(&bytes(&row["opening"])).unwrap();
        let label = bundle.header.label();
        let opened = open_bundle(&label, &u.unwrap(), &opening, bundle.header.suite, &bundle.body);
        let expected = match row["outcome"].as_str().unwrap() {
            "BadCiphertext" => Err(UndecryptableReason::BadCiphertext),
            "BadEncoding" => Err(UndecryptableReason::BadEncoding),
            "NoLegs" => Err(UndecryptableReason::NoLegs),
            // Which rollups there are is for whoever cuts the batches.
            "opened" | "UnknownRollup" | "DuplicateRollup" => Ok(()),
            other => panic!("{other} is no outcome"),
        };
        assert_eq!(opened.map(|_| ()), expected, "{}", row["about"]);
    }
}
