//! A wallet before a validator that says what the test has it say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use conclave_grpc::{
    doors::{Bounds, Doors},
    messages as v1,
    v1::submit_service_server::{SubmitService, SubmitServiceServer},
};
use conclave_types::RollupId;
use tonic::{Request, Response, Status, transport::Server};

use super::*;
use crate::{Network, Retry, endpoints::Endpoints};

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// How a validator answers a submission.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// It has just been ordered: its sequence is used up.
    UsedUpByItself,
    /// Another bundle has its sequence.
    UsedUpByAnother,
    /// It was ordered a while ago.
    Exists,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    submitted: Vec<EncryptedBundle>,
    ordered: Vec<BundleId>,
    next_sequence: u64,
}

#[derive(Clone)]
struct Validator {
    network: Arc<Network>,
    script: Arc<Mutex<Script>>,
}

#[tonic::async_trait]
impl SubmitService for Validator {
    type WatchBundleStream = tonic::codegen::BoxStream<v1::WatchBundleResponse>;

    async fn get_encryption_key(
        &self,
        _: Request<v1::GetEncryptionKeyRequest>,
    ) -> Result<Response<v1::GetEncryptionKeyResponse>, Status> {
        let key = self.network.genesis().encryption_key.as_ref().unwrap();
        Ok(Response::new(v1::GetEncryptionKeyResponse {
            network_id: self.network.id().as_bytes().to_vec(),
            key_id: key.id(&self.network.id()).as_bytes().to_vec(),
            suite: u32::from(key.suite),
            public_key: key.public_key.as_bytes().to_vec(),
            public_key_g2: key.public_key_g2.as_bytes().to_vec(),
            ..Default::default()
        }))
    }

    async fn submit_bundle(
        &self,
        request: Request<v1::SubmitBundleRequest>,
    ) -> Result<Response<v1::SubmitBundleResponse>, Status> {
        let bundle: EncryptedBundle = borsh::from_slice(&request.get_ref().bundle).unwrap();
        let mut script = self.script.lock().unwrap();
        let id = bundle.id();
        script.submitted.push(bundle);
        script.next_sequence += 1;
        let Some(answer) = script.answers.pop_front() else {
            return Err(Status::invalid_argument("once too often"));
        };
        match answer {
            Answer::UsedUpByItself => {
                script.ordered.push(id);
                Err(Status::failed_precondition("the lane is further"))
            }
            Answer::UsedUpByAnother => Err(Status::failed_precondition("the lane is further")),
            Answer::Exists => {
                script.ordered.push(id);
                Err(Status::already_exists("it was included"))
            }
        }
    }

    async fn get_bundle_status(
        &self,
        request: Request<v1::GetBundleStatusRequest>,
    ) -> Result<Response<v1::GetBundleStatusResponse>, Status> {
        let bundle_id = request.into_inner().bundle_id;
        let script = self.script.lock().unwrap();
        let is_ordered = script.ordered.iter().any(|id| id.as_bytes().as_slice() == bundle_id);
        let mut status = v1::BundleStatus { bundle_id, ..Default::default() };
        if is_ordered {
            status.level = Level::Ordered.to_wire() as i32;
            status.height = 7;
            status.block_id = vec![2; 32];
        }
        Ok(Response::new(v1::GetBundleStatusResponse { status: Some(status) }))
    }

    async fn watch_bundle(
        &self,
        _: Request<v1::WatchBundleRequest>,
    ) -> Result<Response<Self::WatchBundleStream>, Status> {
        Err(Status::unimplemented("nobody watches here"))
    }

    async fn estimate_fee(
        &self,
        _: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        Err(Status::unimplemented("nobody asks for a price here"))
    }

    async fn get_account(
        &self,
        _: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let next_sequence = self.script.lock().unwrap().next_sequence;
        Ok(Response::new(v1::GetAccountResponse {
            withdrawable_gwei: 0,
            balance_gwei: u64::MAX,
            next_sequence,
            next_sequence_pending: next_sequence,
        }))
    }
}

fn network() -> Network {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/sealed-bundle-v1.json");
    let all: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let genesis = all["network"]["genesis"].as_str().unwrap();
    Network::new(serde_json::from_str(genesis).unwrap()).unwrap()
}

/// Submits once to a validator that answers so; returns what came of it, and what it was sent.
async fn submit(
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Submission, ClientError>, Vec<EncryptedBundle>) {
    let answers = answers.into_iter().collect();
    let script = Arc::new(Mutex::new(Script { answers, ..Script::default() }));
    let validator = Validator { network: Arc::new(network()), script: Arc::clone(&script) };
    let bounds = Bounds { connections_max: 8, idle_max: Duration::from_secs(60) };
    let doors = Doors::open("127.0.0.1:0".parse().unwrap(), bounds).await.unwrap();
    let address = doors.address().unwrap().to_string();
    let router = Server::builder().add_service(SubmitServiceServer::new(validator));
    let endpoints = Endpoints::new(&[address], Retry::never()).unwrap();
    let wallet = Client::of(endpoints, network()).wallet(Payer::from_hex(KEY).unwrap());
    let legs = [Leg { rollup: RollupId::new(901), transaction: vec![1] }];
    let terms = Terms::default();
    let outcome = tokio::select! {
        outcome = wallet.submit(&legs, &terms) => outcome,
        ended = router.serve_with_incoming(doors.guests()) => panic!("{ended:?}"),
    };
    let submitted = std::mem::take(&mut script.lock().unwrap().submitted);
    (outcome, submitted)
}

#[tokio::test]
async fn what_was_ordered_before_it_was_answered_is_not_paid_for_twice() {
    for answer in [Answer::UsedUpByItself, Answer::Exists] {
        let (outcome, submitted) = submit([answer]).await;
        let submission = outcome.unwrap();
        assert!(matches!(submission.admission, Admission::Known(_)), "{submission:?}");
        assert_eq!(submitted, [(*submission.bundle).clone()], "{answer:?}");
    }
}

#[tokio::test]
async fn a_sequence_that_another_took_is_left_for_the_next() {
    let (outcome, submitted) = submit([Answer::UsedUpByAnother, Answer::UsedUpByItself]).await;
    assert_eq!(outcome.unwrap().bundle.header.nonce.sequence, 1);
    let sequences: Vec<_> = submitted.iter().map(|bundle| bundle.header.nonce.sequence).collect();
    assert_eq!(sequences, [0, 1]);
}
