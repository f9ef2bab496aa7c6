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
use crate::{
    Network, Retry,
    endpoints::Endpoints,
    network::tests::{genesis, next_key, receipt},
};

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
    /// It is in the pool.
    Held,
    /// The era of its key is over.
    OtherEra,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    submitted: Vec<EncryptedBundle>,
    ordered: Vec<BundleId>,
    next_sequence: u64,
    /// The era of the first key is over.
    has_turned: bool,
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
        if self.script.lock().unwrap().has_turned {
            return Ok(Response::new(next_key(&self.network)));
        }
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
        let Some(answer) = script.answers.pop_front() else {
            return Err(Status::invalid_argument("once too often"));
        };
        if !matches!(answer, Answer::Held | Answer::OtherEra) {
            script.next_sequence += 1;
        }
        match answer {
            Answer::Held => {
                let receipt = Some(receipt(&self.network, id));
                Ok(Response::new(v1::SubmitBundleResponse { receipt }))
            }
            Answer::OtherEra => {
                script.has_turned = true;
                Err(Status::invalid_argument("it is sealed to another key"))
            }
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
        request: Request<v1::WatchBundleRequest>,
    ) -> Result<Response<Self::WatchBundleStream>, Status> {
        let bundle_id = request.into_inner().bundle_id;
        let old = self.network.genesis().encryption_key.as_ref().unwrap().id(&self.network.id());
        let script = self.script.lock().unwrap();
        let mut submitted = script.submitted.iter();
        let bundle = submitted.find(|bundle| bundle.id().as_bytes().as_slice() == bundle_id);
        let mut status = v1::BundleStatus { bundle_id, ..Default::default() };
        if bundle.unwrap().header.key_id == old {
            status.returned = "its era is over".to_owned();
        } else {
            status.level = Level::Ordered.to_wire() as i32;
            status.height = 7;
            status.block_id = vec![2; 32];
        }
        let answer = v1::WatchBundleResponse { status: Some(status) };
        Ok(Response::new(Box::pin(tonic::codegen::tokio_stream::once(Ok(answer)))))
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

/// Does something with a wallet before a validator that answers so; returns what came of it, and what the
/// validator was sent.
async fn before<T>(
    network: Network,
    answers: impl IntoIterator<Item = Answer>,
    what: impl AsyncFnOnce(Wallet) -> T,
) -> (T, Vec<EncryptedBundle>) {
    let answers = answers.into_iter().collect();
    let script = Arc::new(Mutex::new(Script { answers, ..Script::default() }));
    let validator = Validator { network: Arc::new(network.clone()), script: Arc::clone(&script) };
    let bounds = Bounds { connections_max: 8, idle_max: Duration::from_secs(60) };
    let doors = Doors::open("127.0.0.1:0".parse().unwrap(), bounds).await.unwrap();
    let address = doors.address().unwrap().to_string();
    let router = Server::builder().add_service(SubmitServiceServer::new(validator));
    let endpoints = Endpoints::new(&[address], Retry::never()).unwrap();
    let wallet = Client::of(endpoints, network).wallet(Payer::from_hex(KEY).unwrap());
    let outcome = tokio::select! {
        outcome = what(wallet) => outcome,
        ended = router.serve_with_incoming(doors.guests()) => panic!("{ended:?}"),
    };
    let submitted = std::mem::take(&mut script.lock().unwrap().submitted);
    (outcome, submitted)
}

fn legs() -> [Leg; 1] {
    [Leg { rollup: RollupId::new(901), transaction: vec![1] }]
}

async fn submit(
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Submission, ClientError>, Vec<EncryptedBundle>) {
    let once = async |wallet: Wallet| wallet.submit(&legs(), &Terms::default()).await;
    before(network(), answers, once).await
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

#[tokio::test]
async fn what_is_sealed_to_the_key_of_an_era_that_is_over_is_sealed_again() {
    let network = Network::new(genesis()).unwrap();
    let once = async |wallet: Wallet| wallet.submit(&legs(), &Terms::default()).await;
    let (outcome, submitted) =
        before(network.clone(), [Answer::OtherEra, Answer::Held], once).await;
    let submission = outcome.unwrap();
    let [stale, fresh] = submitted.as_slice() else { panic!("{submitted:?}") };
    assert_eq!(*fresh, *submission.bundle);
    assert_eq!(stale.header.nonce, fresh.header.nonce, "at most one of the two is ever ordered");
    assert_eq!(fresh.header.key_id.as_bytes().to_vec(), next_key(&network).key_id);
}

#[tokio::test]
async fn what_comes_back_is_sealed_again_under_its_nonce_and_watched_under_its_new_id() {
    let network = Network::new(genesis()).unwrap();
    let answers = [Answer::Held, Answer::OtherEra, Answer::Held];
    let watched = async |wallet: Wallet| {
        let submission = wallet.submit(&legs(), &Terms::default()).await.unwrap();
        let status = wallet.watch(&submission, Level::Ordered).finish().await;
        let alone = wallet.client().wait(submission.id, Level::Ordered, LOOK_EVERY).await;
        (submission, status, alone)
    };
    let ((submission, status, alone), submitted) = before(network.clone(), answers, watched).await;
    let [first, handed_in_again, sealed_again] = submitted.as_slice() else {
        panic!("{submitted:?}")
    };
    assert_eq!(first, handed_in_again, "a validator may be wrong about it");
    assert_eq!(first.header.nonce, sealed_again.header.nonce);
    assert_eq!(first.header.valid_until, sealed_again.header.valid_until);
    let status = status.unwrap();
    assert_eq!((status.id, status.progress.level()), (sealed_again.id(), Some(Level::Ordered)));
    let expected = submission.id;
    assert!(
        matches!(&alone, Err(ClientError::Returned { id, .. }) if *id == expected),
        "who has no wallet is told: {alone:?}"
    );
}
