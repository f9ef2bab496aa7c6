use conclave_encryption::{Packing, Suite, rehearse};
use conclave_grpc::messages::{CommitteeMember, ElectedCommittee};
use conclave_types::{
    BlockCommitment, BlockId, CertificateError, CommitteeError, ConsensusKey, Epoch, EpochEnd, Era,
    Gwei, KeyId, L1Origin, Member, Params, PayerAddress, RollupId, RollupRegistration, Round,
    SettlementCertificate, SettlementError, SettlementSecret, SignatureBytes, Time, VoteKind,
    digest::Position,
};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::ElectionError;

fn signing_key(index: u8) -> SigningKey {
    SigningKey::from_bytes(&[index + 1; 32])
}

pub(crate) fn genesis() -> Genesis {
    let packing = Packing::for_parties(4).unwrap();
    let (encryption_key, _) = rehearse(Suite::Packed, packing, Era::ZERO, &[1; 32]).unwrap();
    let member = |index: u8| Member {
        name: format!("validator-{index}"),
        consensus_key: ConsensusKey::new(signing_key(index).verifying_key().to_bytes()),
        network_key: ConsensusKey::new(signing_key(index + 100).verifying_key().to_bytes()),
        settlement_key: conclave_types::SettlementSecret::from_seed(&[index + 1; 32]).key(),
        validator: 0,
        power: 1,
    };
    Genesis {
        name: "test".to_owned(),
        time: Time::from_micros(1),
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin::default(),
        params: Params::default(),
        members: (0..4).map(member).collect(),
        encryption_key: Some(encryption_key),
        rollups: vec![RollupRegistration {
            id: RollupId::new(901),
            name: "one".to_owned(),
            gas_limit: 30_000_000,
        }],
        accounts: vec![],
    }
}

fn served(genesis: &Genesis) -> v1::GetNetworkInfoResponse {
    v1::GetNetworkInfoResponse {
        network_id: genesis.network_id().as_bytes().to_vec(),
        genesis_json: serde_json::to_string(genesis).unwrap(),
        ..v1::GetNetworkInfoResponse::default()
    }
}

fn decided(network: &Network, signers: &[u8]) -> v1::GetBlockResponse {
    decided_in(network, signers, Epoch::ZERO)
}

fn decided_in(network: &Network, signers: &[u8], epoch: Epoch) -> v1::GetBlockResponse {
    let bundles = vec![BundleId::new([1; 32]), BundleId::new([2; 32])];
    let body = BlockBody { bundles, ..BlockBody::default() };
    let header = BlockHeader {
        network: network.id(),
        height: Height::new(5),
        parent: BlockId::new([3; 32]),
        parent_certificate: Digest::ZERO,
        proposer: ValidatorIndex::new(1),
        time: Time::from_micros(9),
        epoch,
        l1_origin: L1Origin::default(),
        l1_entries_root: Digest::ZERO,
        key_id: KeyId::ZERO,
        sharing_root: Digest::ZERO,
        bundle_root: body.bundle_root(),
        bundle_count: 2,
        revealed_height: Height::new(4),
        reveal_digest: Digest::ZERO,
        ledger_digest: Digest::ZERO,
    };
    let certificate = certify(network, &header, signers);
    v1::GetBlockResponse {
        block_id: header.id().as_bytes().to_vec(),
        header: Some((&header).into()),
        certificate: Some((&certificate).into()),
        bundle_ids: body.bundles.iter().map(|id| id.as_bytes().to_vec()).collect(),
        reveal: None,
    }
}

fn certify(network: &Network, header: &BlockHeader, signers: &[u8]) -> Certificate {
    let at = Position { epoch: header.epoch, height: header.height, round: Round::ZERO };
    let message = network.domain.vote(VoteKind::Precommit.code(), at, Some(header.id()));
    let sign = |index: &u8| {
        let signature = signing_key(*index).sign(message.as_bytes()).to_bytes();
        (ValidatorIndex::new(u16::from(*index)), SignatureBytes::new(signature))
    };
    Certificate {
        epoch: header.epoch,
        height: header.height,
        round: Round::ZERO,
        block: header.id(),
        signatures: signers.iter().map(sign).collect(),
    }
}

/// The key of the second era, and a block of the first in which it is fixed.
pub(crate) fn next_key(network: &Network) -> v1::GetEncryptionKeyResponse {
    next_key_by(network, &[0, 1, 2])
}

fn next_key_by(network: &Network, signers: &[u8]) -> v1::GetEncryptionKeyResponse {
    let packing = Packing::for_parties(4).unwrap();
    let (key, _) = rehearse(Suite::Packed, packing, Era::new(1), &[2; 32]).unwrap();
    let (id, messages) = (key.id(&network.id()), Digest::new([7; 32]));
    let block = network.verify_decided(&decided(network, &[0, 1, 2])).unwrap();
    let header = BlockHeader { sharing_root: next_key_root(&id, &messages), ..block.header };
    let certificate = certify(network, &header, signers);
    v1::GetEncryptionKeyResponse {
        network_id: network.id().as_bytes().to_vec(),
        key_id: id.as_bytes().to_vec(),
        suite: u32::from(key.suite),
        era: key.era.as_u32(),
        public_key: key.public_key.as_bytes().to_vec(),
        public_key_g2: key.public_key_g2.as_bytes().to_vec(),
        header: Some((&header).into()),
        certificate: Some((&certificate).into()),
        messages_root: messages.as_bytes().to_vec(),
        ..v1::GetEncryptionKeyResponse::default()
    }
}

/// Validator 0's receipt for a bundle.
pub(crate) fn receipt(network: &Network, id: BundleId) -> v1::Receipt {
    let digest = network.domain.receipt(&id, 123, Height::new(40));
    v1::Receipt {
        bundle_id: id.as_bytes().to_vec(),
        validator: 0,
        received_micros: 123,
        deadline_height: 40,
        signature: signing_key(0).sign(digest.as_bytes()).to_bytes().to_vec(),
    }
}

#[test]
fn the_key_of_the_next_era_counts_once_a_quorum_has_named_it() {
    let network = Network::new(genesis()).unwrap();
    let served = next_key(&network);
    let key = network.verify_key(&served).unwrap();
    assert_eq!((key.id().as_bytes().to_vec(), key.era()), (served.key_id.clone(), Era::new(1)));

    let early = v1::GetEncryptionKeyResponse { era: 0, ..served.clone() };
    let unnamed = v1::GetEncryptionKeyResponse { messages_root: vec![], ..served.clone() };
    let other = v1::GetEncryptionKeyResponse { messages_root: vec![8; 32], ..served };
    for bad in [early, unnamed, other] {
        let error = network.verify_key(&bad).unwrap_err();
        assert!(matches!(error, ClientError::ForeignKey { .. }), "{error}");
    }
    let error = network.verify_key(&next_key_by(&network, &[0, 1])).unwrap_err();
    assert!(matches!(
        error,
        ClientError::Certificate(CertificateError::NoQuorum { expected: 3, found: 2 })
    ));
}

#[test]
fn a_genesis_is_believed_only_if_the_network_id_is_its_digest() {
    let genesis = genesis();
    let id = genesis.network_id();
    assert_eq!(Network::from_wire(&served(&genesis), Some(id)).unwrap().id(), id);

    let richer = Genesis {
        accounts: vec![conclave_types::GenesisAccount {
            address: PayerAddress::new([9; 20]),
            balance: Gwei::new(1),
        }],
        ..genesis
    };
    let forged =
        v1::GetNetworkInfoResponse { network_id: id.as_bytes().to_vec(), ..served(&richer) };
    let error = Network::from_wire(&forged, None).unwrap_err();
    assert!(matches!(error, ClientError::GenesisDigest { expected, .. } if expected == id));
    let error = Network::from_wire(&served(&richer), Some(id)).unwrap_err();
    assert!(matches!(error, ClientError::WrongNetwork { expected, .. } if expected == id));
}

#[test]
fn garbage_in_place_of_a_genesis_is_named() {
    let genesis = genesis();
    let short = v1::GetNetworkInfoResponse { network_id: vec![1; 5], ..served(&genesis) };
    assert!(matches!(Network::from_wire(&short, None), Err(ClientError::Wire(_))));
    let garbage =
        v1::GetNetworkInfoResponse { genesis_json: "{\"name\":".into(), ..served(&genesis) };
    assert!(matches!(Network::from_wire(&garbage, None), Err(ClientError::GenesisJson(_))));
}

#[test]
fn a_receipt_counts_only_with_the_signature_of_the_validator_it_names() {
    let network = Network::new(genesis()).unwrap();
    let id = BundleId::new([7; 32]);
    let deadline = Height::new(40);
    let digest = network.domain.receipt(&id, 123, deadline);
    let receipt = v1::Receipt {
        bundle_id: id.as_bytes().to_vec(),
        validator: 2,
        received_micros: 123,
        deadline_height: 40,
        signature: signing_key(2).sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    let validator = ValidatorIndex::new(2);
    let expected = Receipt { id, validator, received_micros: 123, deadline };
    assert_eq!(network.verify_receipt(&receipt, id).unwrap(), expected);

    let other = v1::Receipt { validator: 3, ..receipt.clone() };
    let later = v1::Receipt { deadline_height: 41, ..receipt.clone() };
    let stranger = v1::Receipt { validator: 4, ..receipt.clone() };
    let cut = v1::Receipt { signature: receipt.signature[..63].to_vec(), ..receipt.clone() };
    for bad in [other, later, stranger, cut] {
        let error = network.verify_receipt(&bad, id).unwrap_err();
        assert!(matches!(error, ClientError::BadReceipt { .. }), "{error}");
    }
    let error = network.verify_receipt(&receipt, BundleId::new([8; 32])).unwrap_err();
    assert!(matches!(error, ClientError::Inconsistent(_)), "{error}");
}

#[test]
fn a_decision_is_proved_by_a_quorum_over_exactly_this_header_and_these_bundles() {
    let network = Network::new(genesis()).unwrap();
    let block = network.verify_decided(&decided(&network, &[0, 1, 3])).unwrap();
    assert_eq!(block.header.height, Height::new(5));
    assert_eq!(block.bundles.len(), 2);

    let error = network.verify_decided(&decided(&network, &[0, 1])).unwrap_err();
    assert!(matches!(
        error,
        ClientError::Certificate(CertificateError::NoQuorum { expected: 3, found: 2 })
    ));

    let mut swapped = decided(&network, &[0, 1, 2]);
    swapped.bundle_ids.reverse();
    let mut dropped = decided(&network, &[0, 1, 2]);
    dropped.bundle_ids.pop();
    let mut retimed = decided(&network, &[0, 1, 2]);
    retimed.header.as_mut().unwrap().time_micros += 1;
    for bad in [swapped, dropped, retimed] {
        let error = network.verify_decided(&bad).unwrap_err();
        assert!(matches!(error, ClientError::Inconsistent(_)), "{error}");
    }
    let headless = v1::GetBlockResponse { header: None, ..decided(&network, &[0, 1, 2]) };
    let error = network.verify_decided(&headless).unwrap_err();
    assert!(matches!(error, ClientError::Wire(WireError::Missing("header"))));
}

#[test]
fn a_committee_that_the_genesis_does_not_name_is_not_believed() {
    let elects = Genesis { l1_contract: PayerAddress::new([0xc0; 20]), ..genesis() };
    for (genesis, epoch, believed) in
        [(genesis(), 2, true), (elects.clone(), 1, true), (elects, 2, false)]
    {
        let network = Network::new(genesis).unwrap();
        let block = decided_in(&network, &[0, 1, 3], Epoch::new(epoch));
        match network.verify_decided(&block) {
            Ok(block) => assert!(believed && block.header.epoch == Epoch::new(epoch)),
            Err(ClientError::UnknownCommittee { epoch: found }) => {
                assert!(!believed && found == Epoch::new(epoch));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A network whose committees L1 elects.
fn electing() -> Network {
    Network::new(Genesis { l1_contract: PayerAddress::new([0xc0; 20]), ..genesis() }).unwrap()
}

fn settlement_secret(index: u8) -> SettlementSecret {
    SettlementSecret::from_seed(&[index + 1; 32])
}

/// The committee of the validators with these indices.
fn committee(indices: &[u8]) -> Committee {
    let seat = |index: &u8| {
        let key = |of: u8| ConsensusKey::new(signing_key(of).verifying_key().to_bytes());
        let member = Member {
            name: String::new(),
            consensus_key: key(*index),
            network_key: key(*index + 100),
            settlement_key: settlement_secret(*index).key(),
            validator: u32::from(*index) + 1,
            power: 1,
        };
        (ValidatorIndex::new(u16::from(*index)), member)
    };
    Committee::seated(indices.iter().map(seat)).unwrap()
}

/// What `signers` attest to, added up.
pub(crate) fn settle(
    network: &Network,
    commitment: BlockCommitment,
    signers: &[u8],
) -> SettlementCertificate {
    let digest = network.domain.commitment(&commitment);
    let signatures: Vec<_> =
        signers.iter().map(|index| settlement_secret(*index).sign(&digest)).collect();
    SettlementCertificate {
        commitment,
        signers: signers.iter().map(|index| ValidatorIndex::new(u16::from(*index))).collect(),
        signature: conclave_types::add_signatures(&signatures).unwrap(),
    }
}

/// `next` as `signers` of the epoch before name it.
fn elected(network: &Network, epoch: u64, next: &Committee, signers: &[u8]) -> ElectedCommittee {
    let commitment = BlockCommitment {
        epoch: Epoch::new(epoch - 1),
        height: Height::new(epoch * 10),
        block: BlockId::new([1; 32]),
        history_root: Digest::ZERO,
        reveal_root: Digest::ZERO,
        rollup_count: 0,
        l1_origin: L1Origin::default(),
        forced_cursor: 0,
        withdrawals_root: Digest::ZERO,
        epoch_end: Some(EpochEnd {
            next_committee: next.settlement_digest(),
            dkg_result: Digest::ZERO,
        }),
    };
    let certificate = settle(network, commitment, signers);
    ElectedCommittee {
        epoch,
        members: wire::members(next),
        certificate: Some((&certificate).into()),
    }
}

#[test]
fn committees_are_followed_one_by_one_and_each_decides_its_own_epoch() {
    let network = electing();
    let (second, third) = (committee(&[1, 2, 3, 4]), committee(&[2, 3, 4, 5]));
    assert_eq!(network.next_election(), Some(Epoch::new(2)));
    let early = network.elect(&elected(&network, 3, &third, &[1, 2, 3, 4])).unwrap_err();
    assert!(matches!(
        early,
        ClientError::Election { why: ElectionError::OutOfOrder { expected }, .. }
            if expected == Epoch::new(2)
    ));
    network.elect(&elected(&network, 2, &second, &[0, 1, 2])).unwrap();
    // A clone learns with it, and what is known is not looked at again.
    network.clone().elect(&elected(&network, 3, &third, &[1, 3, 4])).unwrap();
    network.elect(&elected(&network, 2, &third, &[0])).unwrap();
    assert_eq!(network.next_election(), Some(Epoch::new(4)));
    assert_eq!(network.committee_of(Epoch::new(2)).as_deref(), Some(&second));
    assert_eq!(network.committee_of(Epoch::new(3)).as_deref(), Some(&third));

    for (epoch, signers, accepted) in [
        (1, [0, 1, 3], true),
        (2, [0, 1, 3], false),
        (2, [1, 3, 4], true),
        (3, [1, 3, 4], false),
        (3, [3, 4, 5], true),
    ] {
        let block = decided_in(&network, &signers, Epoch::new(epoch));
        let verdict = network.verify_decided(&block);
        assert_eq!(verdict.is_ok(), accepted, "epoch {epoch}: {verdict:?}");
    }

    let fixed = Network::new(genesis()).unwrap();
    assert_eq!(fixed.next_election(), None);
    assert_eq!(fixed.committee_of(Epoch::new(9)).as_deref(), Some(fixed.committee()));
}

#[test]
fn a_committee_that_nobody_elected_is_not_followed() {
    let next = committee(&[1, 2, 3, 4]);
    let good = elected(&electing(), 2, &next, &[0, 1, 2]);
    let why = |elected: &ElectedCommittee| {
        let refused = electing().elect(elected).unwrap_err();
        let ClientError::Election { epoch, why } = refused else { panic!("{refused}") };
        assert_eq!(epoch.as_u64(), elected.epoch);
        why
    };
    let with = |change: &dyn Fn(&mut conclave_grpc::messages::BlockCommitment)| {
        let mut changed = good.clone();
        change(changed.certificate.as_mut().unwrap().commitment.as_mut().unwrap());
        changed
    };
    assert!(matches!(
        why(&elected(&electing(), 2, &next, &[0, 1])),
        ElectionError::Certificate(SettlementError::NoQuorum { expected: 3, found: 2 })
    ));
    assert!(matches!(
        why(&with(&|commitment| commitment.height += 1)),
        ElectionError::Certificate(SettlementError::BadSignature)
    ));
    assert!(matches!(
        why(&with(&|commitment| commitment.epoch = 0)),
        ElectionError::OtherEpoch { found: Epoch::ZERO }
    ));
    assert!(matches!(
        why(&with(&|commitment| commitment.epoch_end = None)),
        ElectionError::NotTheEnd
    ));

    let mut richer = good.clone();
    richer.members[0].power = 9;
    let mut stranger = good.clone();
    stranger.members[0].consensus_key = good.members[0].network_key.clone();
    stranger.members[0].network_key = vec![9; 32];
    for bad in [richer, stranger] {
        assert!(matches!(why(&bad), ElectionError::OtherCommittee { .. }));
    }
    // A member that is counted twice under two indices would have power that it has not.
    let mut twice = good.clone();
    let again = CommitteeMember { validator: 9, ..twice.members[0].clone() };
    twice.members.push(again);
    let duplicate = CommitteeError::DuplicateKey(ValidatorIndex::new(9));
    assert!(matches!(why(&twice), ElectionError::Members(error) if error == duplicate));

    let mut bare = good.clone();
    bare.certificate = None;
    let mut cut = good.clone();
    cut.members[1].settlement_key.pop();
    for bad in [bare, cut] {
        assert!(matches!(electing().elect(&bad), Err(ClientError::Wire(_))));
    }
}

#[test]
fn a_receipt_is_checked_with_the_newest_key_of_its_validator() {
    let network = electing();
    let id = BundleId::new([7; 32]);
    let digest = network.domain.receipt(&id, 1, Height::new(2));
    let receipt = |validator: u32, key: u8| v1::Receipt {
        bundle_id: id.as_bytes().to_vec(),
        validator,
        received_micros: 1,
        deadline_height: 2,
        signature: signing_key(key).sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    assert!(network.verify_receipt(&receipt(4, 4), id).is_err());
    // Validator 4 joins, 3 changes its key, 0 leaves.
    let joined = committee(&[1, 2, 3, 4]);
    let mut seats: Vec<_> = joined.iter().map(|(index, member)| (index, member.clone())).collect();
    seats[2].1.consensus_key = ConsensusKey::new(signing_key(77).verifying_key().to_bytes());
    let seated = Committee::seated(seats).unwrap();
    network.elect(&elected(&network, 2, &seated, &[0, 1, 2])).unwrap();
    for (validator, key, accepted) in
        [(4, 4, true), (3, 3, false), (3, 77, true), (0, 0, true), (9, 9, false)]
    {
        let verdict = network.verify_receipt(&receipt(validator, key), id);
        assert_eq!(verdict.is_ok(), accepted, "validator {validator} with key {key}");
    }
}

#[test]
fn what_is_sealed_is_signed_by_the_payer_and_padded_to_a_bucket() {
    let network = Network::new(genesis()).unwrap();
    let payer = crate::Payer::from_hex(&"11".repeat(32)).unwrap();
    let legs = [conclave_types::Leg { rollup: RollupId::new(901), transaction: vec![2; 300] }];
    let nonce = conclave_types::BundleNonce { lane: 1, sequence: 2 };
    let terms = crate::Terms::default();
    let key = network.genesis_key().unwrap().unwrap();
    let until = crate::SealingTerms { key: key.clone(), valid_until: Height::new(50) };
    let bundle = crate::seal(&network, &until, &payer, nonce, &legs, &terms).unwrap();
    assert_eq!(bundle.header.payer, payer.address());
    assert_eq!(bundle.header.key_id, key.id());
    assert_eq!(bundle.header.body_bytes, 512 + 16);
    assert_eq!(Some(bundle.header.body_bytes), crate::body_bytes(&legs));
    let digest = alloy::primitives::B256::new(*bundle.signing_digest().as_bytes());
    let signature =
        alloy::primitives::Signature::from_raw_array(bundle.signature.as_bytes()).unwrap();
    let signer = signature.recover_address_from_prehash(&digest).unwrap();
    assert_eq!(signer.into_array(), *payer.address().as_bytes());
}

#[test]
fn a_bundle_that_could_only_lose_money_is_not_sealed() {
    let network = Network::new(genesis()).unwrap();
    let payer = crate::Payer::from_hex(&"11".repeat(32)).unwrap();
    let key = network.genesis_key().unwrap().unwrap();
    let seal = |rollup: u64, terms: &crate::Terms| {
        let legs =
            [conclave_types::Leg { rollup: RollupId::new(rollup), transaction: vec![2; 10] }];
        let nonce = conclave_types::BundleNonce::default();
        let until = crate::SealingTerms { key: key.clone(), valid_until: Height::new(50) };
        crate::seal(&network, &until, &payer, nonce, &legs, terms)
    };
    let default = crate::Terms::default();
    let error = seal(999, &default).unwrap_err();
    assert!(matches!(error, ClientError::UnknownRollup { found, .. } if found.as_u64() == 999));
    seal(999, &crate::Terms { any_rollup: true, ..default }).unwrap();

    let stingy = crate::Terms { max_fee: Some(Gwei::new(10)), ..default };
    let error = seal(901, &stingy).unwrap_err();
    assert!(matches!(error, ClientError::FeeAboveLimit { max_fee, .. } if max_fee.as_u64() == 10));
}
