//! The public API: what strangers ask over gRPC, from raw bytes to a question that makes sense; and what a
//! validator may answer a client.

use std::sync::LazyLock;

use conclave_client::{BundleStatus, Network};
use conclave_node::rpc::requests::{
    BatchPage, BatchRun, BatchStream, Begin, Following, LaneOf, Named, Opened, Priced,
    RequestError, Submission, Transaction, WhichTransaction, WithdrawalPage,
};
use conclave_types::{
    BlockCommitment, Digest, Epoch, EpochEnd, G2Bytes, Genesis, Params, Payee, PayerAddress,
    SIZE_BUCKETS, SettlementCertificate, ValidatorIndex,
    proto::v1::{self, Level, stream_batches_request::Start},
    wire::{self, CertifiedCommitment},
};
use prost::Message;

use crate::{fuzz, samples};

/// What tonic and the edge make of a body: nothing, a refusal, or a value.
fn parsed<W, D>(bytes: &[u8]) -> Option<D>
where
    W: Message + Default,
    D: TryFrom<W, Error = RequestError>,
{
    let request = W::decode(bytes).ok()?;
    match D::try_from(request) {
        Ok(value) => Some(value),
        Err(error) => {
            let status = tonic::Status::from(error);
            assert!(!status.message().is_empty(), "a refusal says why");
            None
        }
    }
}

#[test]
fn submit_bundle() {
    let bundle = |bytes| borsh::to_vec(&samples::bundle(bytes)).expect("writes");
    let request = |bundle| v1::SubmitBundleRequest { bundle }.encode_to_vec();
    let corpus = [request(bundle(16)), request(bundle(272)), request(vec![0; 200_000])];
    fuzz("SubmitBundle", &corpus, |bytes| {
        let submission = parsed::<v1::SubmitBundleRequest, Submission>(bytes);
        if let Some(Submission(bundle)) = submission {
            let sent = v1::SubmitBundleRequest::decode(bytes).expect("decoded before").bundle;
            assert_eq!(borsh::to_vec(&bundle).expect("writes"), sent, "two encodings of a bundle");
        }
    });
}

#[test]
fn bundles_by_name() {
    let status = v1::GetBundleStatusRequest { bundle_id: vec![9; 32] }.encode_to_vec();
    let corpus = [status, v1::GetBundleRequest { bundle_id: vec![9; 31] }.encode_to_vec()];
    fuzz("GetBundleStatus, GetBundle", &corpus, |bytes| {
        let status = parsed::<v1::GetBundleStatusRequest, Named>(bytes);
        assert_eq!(status, parsed::<v1::GetBundleRequest, Named>(bytes), "one wire format");
    });
}

#[test]
fn watch_bundle() {
    let request =
        |bytes, until| v1::WatchBundleRequest { bundle_id: vec![9; bytes], until }.encode_to_vec();
    let corpus = [request(32, 0), request(32, Level::Final.into()), request(32, -1), request(1, 3)];
    fuzz("WatchBundle", &corpus, |bytes| {
        if let Some(Following { until, .. }) = parsed::<v1::WatchBundleRequest, Following>(bytes) {
            assert!(
                (Level::Received..=Level::Final).contains(&until),
                "a level that somebody reaches"
            );
        }
    });
}

#[test]
fn estimate_fee() {
    let request = |plaintext_bytes| v1::EstimateFeeRequest { plaintext_bytes }.encode_to_vec();
    let corpus = [request(1), request(65_536), request(u32::MAX)];
    fuzz("EstimateFee", &corpus, |bytes| {
        if let Some(Priced { body_bytes }) = parsed::<v1::EstimateFeeRequest, Priced>(bytes) {
            assert!(SIZE_BUCKETS.iter().any(|bucket| bucket + 16 == body_bytes), "a size bucket");
        }
    });
}

#[test]
fn get_account() {
    let request =
        |bytes, lane| v1::GetAccountRequest { address: vec![3; bytes], lane }.encode_to_vec();
    let corpus = [request(20, 0), request(20, u64::MAX), request(19, 1)];
    fuzz("GetAccount", &corpus, |bytes| {
        if let Some(LaneOf { payer, lane }) = parsed::<v1::GetAccountRequest, LaneOf>(bytes) {
            let sent = v1::GetAccountRequest::decode(bytes).expect("decoded before");
            assert_eq!((payer.as_bytes().as_slice(), lane), (sent.address.as_slice(), sent.lane));
        }
    });
}

#[test]
fn list_withdrawals() {
    let request = |recipient, validator, count| {
        let from_index = 7;
        let request = v1::ListWithdrawalsRequest { recipient, validator, from_index, count };
        request.encode_to_vec()
    };
    let corpus = [
        request(vec![4; 20], 0, 1),
        request(vec![], 3, 100),
        request(vec![], 0, 101),
        request(vec![4; 19], 0, 1),
        request(vec![4; 20], 3, 1),
    ];
    fuzz("ListWithdrawals", &corpus, |bytes| {
        let page = parsed::<v1::ListWithdrawalsRequest, WithdrawalPage>(bytes);
        if let Some(WithdrawalPage { payee, count, .. }) = page {
            let sent = v1::ListWithdrawalsRequest::decode(bytes).expect("decoded before");
            assert!((1..=100).contains(&count), "a page that somebody serves");
            assert!(sent.validator == 0 || payee == Payee::Stake(sent.validator), "{payee:?}");
        }
    });
}

#[test]
fn what_is_to_be_proved() {
    use v1::get_transaction_proof_request::Transaction as Wire;
    let transaction = |transaction| {
        v1::GetTransactionProofRequest { height: 7, rollup_id: 901, transaction }.encode_to_vec()
    };
    let corpus = [
        transaction(None),
        transaction(Some(Wire::Item(3))),
        transaction(Some(Wire::TransactionHash(vec![4; 32]))),
        transaction(Some(Wire::TransactionHash(vec![4; 33]))),
    ];
    fuzz("GetTransactionProof", &corpus, |bytes| {
        let asked = parsed::<v1::GetTransactionProofRequest, Transaction>(bytes);
        let Some(Transaction { which, .. }) = asked else { return };
        let sent = v1::GetTransactionProofRequest::decode(bytes).expect("decoded before");
        let sent = sent.transaction.expect("one is meant");
        assert_eq!(
            sent,
            match which {
                WhichTransaction::Item(item) => Wire::Item(item),
                WhichTransaction::Hash(hash) => Wire::TransactionHash(hash.as_bytes().to_vec()),
            }
        );
    });
    let run = |first, count| {
        v1::GetBatchProofRequest { height: 7, rollup_id: 901, first, count }.encode_to_vec()
    };
    let corpus = [run(0, 1), run(u32::MAX, 4_096), run(7, 4_097), run(7, 0)];
    fuzz("GetBatchProof", &corpus, |bytes| {
        let Some(run) = parsed::<v1::GetBatchProofRequest, BatchRun>(bytes) else { return };
        assert!((1..=4_096).contains(&run.count), "an answer that somebody serves");
    });
    let corpus = [32, 31]
        .map(|bytes| v1::GetAtomicProofRequest { bundle_id: vec![9; bytes] }.encode_to_vec());
    fuzz("GetAtomicProof", &corpus, |bytes| {
        let Some(Opened(id)) = parsed::<v1::GetAtomicProofRequest, Opened>(bytes) else { return };
        let sent = v1::GetAtomicProofRequest::decode(bytes).expect("decoded before").bundle_id;
        assert_eq!(id.as_bytes().as_slice(), sent);
    });
}

#[test]
fn where_a_stream_starts() {
    let starts = [
        Some(Start::Sequence(0)),
        Some(Start::Sequence(u64::MAX)),
        Some(Start::AfterHeight(7)),
        Some(Start::Latest(true)),
        None,
    ];
    let request = |start| v1::StreamBatchesRequest { rollup_id: 901, start }.encode_to_vec();
    fuzz("StreamBatches", &starts.map(request), |bytes| {
        let stream = parsed::<v1::StreamBatchesRequest, BatchStream>(bytes);
        let Some(BatchStream { rollup, begin }) = stream else { return };
        let start = match begin {
            Begin::Sequence(sequence) => Start::Sequence(sequence),
            Begin::After(height) => Start::AfterHeight(height.as_u64()),
            Begin::Latest => Start::Latest(true),
        };
        let sent = v1::StreamBatchesRequest::decode(bytes).expect("decoded before");
        let latest = matches!(sent.start, Some(Start::Latest(_)));
        assert!(latest || sent.start == Some(start), "it starts where it was asked to");
        assert_eq!(rollup.as_u64(), sent.rollup_id);
    });
}

#[test]
fn get_batches() {
    let request = |from_sequence, count| {
        v1::GetBatchesRequest { rollup_id: 901, from_sequence, count }.encode_to_vec()
    };
    let corpus = [request(0, 1), request(u64::MAX, 100), request(7, 101), request(7, 0)];
    fuzz("GetBatches", &corpus, |bytes| {
        let Some(page) = parsed::<v1::GetBatchesRequest, BatchPage>(bytes) else { return };
        for next in [0, 1, page.from, page.from.saturating_add(50), u64::MAX] {
            let sequences = page.sequences(next);
            let count = sequences.end.saturating_sub(sequences.start);
            assert!(count <= u64::from(page.count) && count <= 100, "a page is bounded");
            assert!(count == 0 || sequences.end <= next, "no batch that does not exist");
        }
    });
}

#[test]
fn questions_without_a_choice() {
    let corpus = [v1::GetBlockRequest { height: 7 }.encode_to_vec(), Vec::new()];
    fuzz("requests with a height or nothing", &corpus, |bytes| {
        drop(v1::GetBlockRequest::decode(bytes));
        drop(v1::GetStatusRequest::decode(bytes));
        drop(v1::StreamBlocksRequest::decode(bytes));
        drop(v1::GetNetworkInfoRequest::decode(bytes));
        drop(v1::GetEncryptionKeyRequest::decode(bytes));
    });
}

#[test]
fn what_a_validator_says_of_a_bundle() {
    let ordered = v1::BundleStatus {
        bundle_id: vec![1; 32],
        level: Level::Ordered.into(),
        height: 7,
        block_id: vec![2; 32],
        ..v1::BundleStatus::default()
    };
    let leg = v1::Leg { rollup_id: 901, transaction: vec![5] };
    let revealed = v1::BundleStatus {
        level: Level::Revealed.into(),
        draw: vec![4; 32],
        legs: vec![leg],
        ..ordered.clone()
    };
    fuzz("bundle status", &[ordered.encode_to_vec(), revealed.encode_to_vec()], |bytes| {
        let Ok(said) = v1::BundleStatus::decode(bytes) else { return };
        if let Ok(status) = BundleStatus::try_from(said.clone()) {
            assert_eq!(status.id.as_bytes().as_slice(), said.bundle_id);
            assert_eq!(status.progress.place().is_some(), said.level >= i32::from(Level::Ordered));
        }
    });
}

/// A network whose keys are real, so that signatures are really looked at.
static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plan = conclave_node::genesis::Plan {
        name: "fuzz".to_owned(),
        validators: 4,
        rollups: Vec::new(),
        accounts: Vec::new(),
        l1: None,
        params: Params::default(),
        base_port: 0,
        web_origins: Vec::new(),
        time: conclave_types::Time::from_micros(1),
    };
    let made = conclave_node::genesis::make(&plan, &directory.path().join("net"));
    let genesis = conclave_node::node::read_genesis(&made.expect("makes").genesis).expect("reads");
    Network::new(genesis).expect("a network that was just made")
});

#[test]
fn a_block_that_nobody_signed_never_passes() {
    let block = samples::block();
    let mut certificate = samples::certificate(3);
    certificate.block = block.id();
    certificate.height = block.header.height;
    let response = v1::GetBlockResponse {
        block_id: block.id().as_bytes().to_vec(),
        header: Some((&block.header).into()),
        certificate: Some((&certificate).into()),
        bundle_ids: block.body.bundles.iter().map(|id| id.as_bytes().to_vec()).collect(),
        reveal: None,
    };
    fuzz("GetBlock's answer", &[response.encode_to_vec()], |bytes| {
        let Ok(response) = v1::GetBlockResponse::decode(bytes) else { return };
        assert!(NETWORK.verify_decided(&response).is_err(), "no validator signed anything here");
    });
}

#[test]
fn a_receipt_that_nobody_signed_never_passes() {
    let receipt = v1::Receipt {
        bundle_id: vec![9; 32],
        validator: 2,
        received_micros: 1,
        deadline_height: 7,
        signature: vec![13; 64],
    };
    let bundle = conclave_types::BundleId::new([9; 32]);
    fuzz("receipt", &[receipt.encode_to_vec()], |bytes| {
        let Ok(receipt) = v1::Receipt::decode(bytes) else { return };
        assert!(NETWORK.verify_receipt(&receipt, bundle).is_err(), "no validator signed it");
    });
}

#[test]
fn a_commitment_that_nobody_signed_never_passes() {
    let commitment = BlockCommitment { epoch: Epoch::new(1), ..samples::commitment() };
    let height = commitment.height;
    let certificate = SettlementCertificate {
        commitment: commitment.clone(),
        signers: (0..3).map(ValidatorIndex::new).collect(),
        signature: G2Bytes::new([0xc0; 96]),
    };
    let mut later = certificate.clone();
    later.commitment.height = height.next();
    let answer = |certificate, path| {
        let commitment = commitment.clone();
        let certified = CertifiedCommitment { commitment, certificate, path };
        v1::GetCertifiedCommitmentResponse::from(&certified).encode_to_vec()
    };
    let corpus = [answer(certificate, vec![]), answer(later, vec![Digest::new([9; 32])])];
    fuzz("GetCertifiedCommitment's answer", &corpus, |bytes| {
        let Ok(response) = v1::GetCertifiedCommitmentResponse::decode(bytes) else { return };
        let Ok(certified) = CertifiedCommitment::try_from(&response) else { return };
        let refused = NETWORK.verify_certified(&certified, height);
        assert!(refused.is_err(), "no validator signed it");
    });
}

#[test]
fn a_committee_that_nobody_elected_is_never_followed() {
    let genesis = NETWORK.genesis().clone();
    let elects = Genesis { l1_contract: PayerAddress::new([1; 20]), ..genesis };
    let network = Network::new(elects).expect("a network that elects");
    let end = EpochEnd {
        next_committee: network.committee().settlement_digest(),
        dkg_result: Digest::ZERO,
    };
    let commitment =
        BlockCommitment { epoch: Epoch::new(1), epoch_end: Some(end), ..samples::commitment() };
    let certificate = SettlementCertificate {
        commitment,
        signers: (0..3).map(ValidatorIndex::new).collect(),
        signature: G2Bytes::new([0xc0; 96]),
    };
    let elected = v1::ElectedCommittee {
        epoch: 2,
        members: wire::members(network.committee()),
        certificate: Some((&certificate).into()),
    };
    fuzz("GetCommittees' answer", &[elected.encode_to_vec()], |bytes| {
        let Ok(elected) = v1::ElectedCommittee::decode(bytes) else { return };
        // Of the epochs whose committee is known nothing new is taken, so that whatever it says is harmless.
        let known = elected.epoch < 2;
        assert_eq!(network.elect(&elected).is_ok(), known, "no validator signed it");
        assert_eq!(network.next_election(), Some(Epoch::new(2)));
    });
}
