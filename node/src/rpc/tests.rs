//! The public API of a real node, in a network of one: what it answers, and what it refuses.

use std::path::PathBuf;

use conclave_client::{Admission, BatchEvent, Client, Item, Level, Payer, Run, Start, Terms};
use conclave_grpc::v1::{
    node_service_client::NodeServiceClient, sequence_service_client::SequenceServiceClient,
    settlement_service_client::SettlementServiceClient, submit_service_client::SubmitServiceClient,
};
use conclave_types::{
    EncryptedBundle, Genesis, GenesisAccount, Gwei, Height, Leg, Params, RollupId,
    digest::{SigningDomain, keccak},
    mmr,
    proto::v1::{self, stream_batches_request::Start as WireStart},
    wire::HistoryProof,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::{Code, Status, transport::Channel};

use crate::{
    config::Config,
    genesis::{Plan, make},
    node::{Node, NodeError},
    store::StoreError,
};

const ROLLUP: RollupId = RollupId::new(901);

struct Network {
    directory: TempDir,
    payer: Payer,
}

impl Network {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let payer = Payer::random();
        let mut params = Params::default();
        params.timing.block_interval_ms = 5;
        params.timing.idle_interval_ms = 20;
        let account =
            GenesisAccount { address: payer.address(), balance: Gwei::new(1_000_000_000) };
        let plan = Plan {
            name: "one".to_owned(),
            validators: 1,
            rollups: vec![ROLLUP],
            accounts: vec![account],
            l1: None,
            params,
            base_port: 0,
            web_origins: Vec::new(),
            time: crate::driver::now(),
        };
        make(&plan, &directory.path().join("net")).unwrap();
        Self { directory, payer }
    }

    fn validator(&self) -> PathBuf {
        self.directory.path().join("net/validator-0")
    }

    fn config(&self) -> Config {
        Config::load(&self.validator().join("config.toml")).unwrap()
    }

    async fn start(&self) -> Running {
        let node = Node::start(&self.config(), None).await.unwrap();
        let url = format!("http://{}", node.addresses().grpc);
        let metrics = node.addresses().metrics.clone();
        let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(node.run(async {
            stopped.await.expect("the test stops what it starts");
        }));
        Running { url, metrics, channel, stop, task }
    }
}

struct Running {
    url: String,
    metrics: String,
    channel: Channel,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), NodeError>>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    fn submit(&self) -> SubmitServiceClient<Channel> {
        SubmitServiceClient::new(self.channel.clone())
    }

    fn sequence(&self) -> SequenceServiceClient<Channel> {
        SequenceServiceClient::new(self.channel.clone())
    }

    fn settlement(&self) -> SettlementServiceClient<Channel> {
        SettlementServiceClient::new(self.channel.clone())
    }

    fn node(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    async fn client(&self) -> Client {
        Client::connect([self.url.clone()]).await.unwrap()
    }

    /// The next heartbeat at or above a height.
    async fn heartbeat(&self, height: u64) -> v1::Heartbeat {
        let request = v1::StreamBatchesRequest {
            rollup_id: ROLLUP.as_u64(),
            start: Some(WireStart::Sequence(0)),
        };
        let mut stream = self.sequence().stream_batches(request).await.unwrap().into_inner();
        loop {
            let event = stream.message().await.unwrap().unwrap().event.unwrap();
            if let v1::stream_batches_response::Event::Heartbeat(beat) = event
                && beat.revealed_height >= height
            {
                return beat;
            }
        }
    }
}

async fn decided_height(client: &Client) -> u64 {
    client.progression().await.unwrap().decided.as_u64()
}

fn leg(byte: u8) -> Vec<Leg> {
    vec![Leg { rollup: ROLLUP, transaction: vec![byte; 100] }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_ordered_revealed_and_delivered_from_any_cursor_after_a_restart() {
    let network = Network::new();
    let running = network.start().await;
    let client = running.client().await;
    let wallet = client.wallet(network.payer.clone());
    let mut live = client.batches(ROLLUP, Start::Sequence(0));
    let mut heights = Vec::new();
    for byte in 0..3_u8 {
        let sent = wallet.submit(&leg(byte), &Terms::default()).await.unwrap();
        assert!(matches!(sent.admission, Admission::Received(_)), "a receipt that verifies");
        let mut watch = client.watch(sent.id, Level::Revealed);
        let status = watch.finish().await.unwrap();
        assert_eq!(status.progress.level(), Some(Level::Revealed));
        let again = client.submit(&sent.bundle).await.unwrap();
        assert!(matches!(again, Admission::Known(_)), "handing it in again is harmless");
        let batch = loop {
            if let BatchEvent::Batch(batch) = live.next().await.unwrap() {
                break batch;
            }
        };
        assert_eq!(batch.sequence, u64::from(byte));
        assert_eq!(batch.items[0].transaction, [byte; 100]);
        assert_eq!(batch.items[0].source.leg().unwrap().bundle, sent.id);
        heights.push(batch.height);
    }
    running.stop().await;
    let running = network.start().await;
    let client = running.client().await;
    for (start, first) in [
        (Start::Sequence(0), 0),
        (Start::Sequence(2), 2),
        (Start::AfterHeight(Height::ZERO), 0),
        (Start::AfterHeight(heights[0]), 1),
        (Start::AfterHeight(heights[1]), 2),
    ] {
        let mut batches = client.batches(ROLLUP, start);
        let BatchEvent::Batch(batch) = batches.next().await.unwrap() else {
            panic!("{start:?} begins with what is there");
        };
        assert_eq!(batch.sequence, first, "{start:?}");
    }
    let future = decided_height(&client).await + 20;
    let request = v1::StreamBatchesRequest {
        rollup_id: ROLLUP.as_u64(),
        start: Some(WireStart::AfterHeight(future)),
    };
    let mut above = running.sequence().stream_batches(request).await.unwrap().into_inner();
    let wallet = client.wallet(network.payer.clone());
    let mut sent = 3;
    loop {
        wallet.submit(&leg(sent), &Terms::default()).await.unwrap();
        sent += 1;
        let event = above.message().await.unwrap().unwrap().event.unwrap();
        if let v1::stream_batches_response::Event::Batch(batch) = event {
            assert!(batch.height > future, "{} is not above {future}", batch.height);
            break;
        }
    }
    let mut latest = client.batches(ROLLUP, Start::Latest);
    assert!(matches!(latest.next().await.unwrap(), BatchEvent::Heartbeat(_)));
    assert!(running.heartbeat(1).await.next_sequence > 3);
    let page = v1::GetBatchesRequest { rollup_id: 901, from_sequence: 1, count: 2 };
    let page = running.sequence().get_batches(page).await.unwrap().into_inner();
    assert_eq!((page.batches.len(), page.batches[0].sequence), (2, 1));
    assert!(page.next_sequence > 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_admitted_is_refused_with_the_documented_code() {
    let network = Network::new();
    let running = network.start().await;
    let client = running.client().await;
    let terms = Terms::default();
    let nonce = |lane, sequence| conclave_types::BundleNonce { lane, sequence };
    let seal = |payer: Payer, nonce| {
        let client = client.clone();
        async move { client.seal(&payer, nonce, &leg(1), &Terms::default()).await.unwrap() }
    };
    let good = seal(network.payer.clone(), nonce(0, 0)).await;
    let bytes = |bundle: &EncryptedBundle| borsh::to_vec(bundle).unwrap();
    let mut stolen = good.clone();
    stolen.header.payer = Payer::random().address();
    let mut repriced = good.clone();
    repriced.header.priority_fee = Gwei::new(1);
    let mut foreign = good.clone();
    foreign.header.network = conclave_types::NetworkId::ZERO;
    let mut mauled = good.clone();
    mauled.body[3] ^= 1;
    let mut other_key = good.clone();
    other_key.header.key_id = conclave_types::KeyId::ZERO;
    let mut trailing = bytes(&good);
    trailing.push(0);
    let mut cut = bytes(&good);
    cut.pop();
    let poor = seal(Payer::random(), nonce(0, 0)).await;
    let far = seal(network.payer.clone(), nonce(0, 1_000_000)).await;
    let cases = [
        ("nothing", Vec::new(), Code::InvalidArgument),
        ("garbage", vec![0xff; 300], Code::InvalidArgument),
        ("trailing byte", trailing, Code::InvalidArgument),
        ("cut short", cut, Code::InvalidArgument),
        ("too long", vec![0; EncryptedBundle::ENCODED_BYTES_MAX + 1], Code::InvalidArgument),
        ("stolen", bytes(&stolen), Code::InvalidArgument),
        ("re-priced", bytes(&repriced), Code::InvalidArgument),
        ("another network", bytes(&foreign), Code::InvalidArgument),
        ("another key", bytes(&other_key), Code::InvalidArgument),
        ("mauled", bytes(&mauled), Code::InvalidArgument),
        ("no balance", bytes(&poor), Code::FailedPrecondition),
        ("nonce far ahead", bytes(&far), Code::FailedPrecondition),
    ];
    for (what, bundle, code) in cases {
        let refused = running.submit().submit_bundle(v1::SubmitBundleRequest { bundle }).await;
        let status = refused.unwrap_err();
        // Another payer's balance is looked at before the signature is.
        let stolen = what == "stolen" && status.code() == Code::FailedPrecondition;
        assert!(status.code() == code || stolen, "{what}: {status:?}");
    }
    let huge = v1::SubmitBundleRequest { bundle: vec![0; 4 << 20] };
    let refused = running.submit().submit_bundle(huge).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "refused before it is read: {refused:?}");
    let admitted = client.submit(&good).await.unwrap();
    assert!(matches!(admitted, Admission::Received(_)), "nothing of this harmed the good one");
    client.watch(good.id(), Level::Revealed).finish().await.unwrap();
    let again = v1::SubmitBundleRequest { bundle: bytes(&good) };
    let refused = running.submit().submit_bundle(again).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let reused = client.seal(&network.payer, nonce(0, 0), &leg(2), &terms).await.unwrap();
    let reused = v1::SubmitBundleRequest { bundle: bytes(&reused) };
    let refused = running.submit().submit_bundle(reused).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commitment_is_proved_under_any_later_height_and_nothing_else_is() {
    let network = Network::new();
    let running = network.start().await;
    running.heartbeat(5).await;
    let mut service = running.settlement();
    let proof = |height, under| {
        let request = v1::GetCommitmentRequest { height, under };
        let mut service = service.clone();
        async move {
            let proof = service.get_commitment(request).await?.into_inner().proof.unwrap();
            Ok::<_, Status>(HistoryProof::try_from(&proof).unwrap())
        }
    };
    // The history of height 5 holds those before it, so it says what the root under height 4 is.
    let root = proof(5, 5).await.unwrap().commitment.history_root;
    let genesis = network.config().genesis;
    let genesis: Genesis = serde_json::from_slice(&std::fs::read(genesis).unwrap()).unwrap();
    let domain = SigningDomain::of(&genesis);
    for height in 1..=4 {
        let proof = proof(height, 4).await.unwrap();
        let digest = domain.commitment(&proof.commitment);
        assert_eq!(proof.commitment.height, Height::new(height));
        assert!(mmr::verify_inclusion(&root, 4, height - 1, &digest, &proof.path));
    }
    let code = |found: Result<HistoryProof, Status>| found.map(drop).unwrap_err().code();
    assert_eq!(code(proof(u64::MAX, u64::MAX).await), Code::NotFound);
    assert_eq!(code(proof(5, 4).await), Code::FailedPrecondition, "it has not settled");
    assert_eq!(code(proof(5, u64::MAX).await), Code::FailedPrecondition, "not here yet");
    assert_eq!(code(proof(5, 0).await), Code::FailedPrecondition, "this node sees no L1");

    let entry = v1::GetRequestOutcomeRequest { entry: 0 };
    let outcome = service.get_request_outcome(entry).await;
    assert_eq!(outcome.map(drop).unwrap_err().code(), Code::NotFound);
    let paid = v1::GetWithdrawalProofRequest { height: 1, index: 0, under: 4 };
    let paid = service.get_withdrawal_proof(paid).await;
    assert_eq!(paid.map(drop).unwrap_err().code(), Code::NotFound);
    let list = |recipient, validator, count| v1::ListWithdrawalsRequest {
        recipient,
        validator,
        from_index: 0,
        count,
    };
    let none = service.list_withdrawals(list(vec![], 1, 100)).await.unwrap().into_inner();
    assert_eq!(none.withdrawals, vec![]);
    for bad in [list(vec![], 1, 0), list(vec![], 1, 101), list(vec![1; 19], 0, 1)] {
        let refused = service.list_withdrawals(bad).await;
        assert_eq!(refused.map(drop).unwrap_err().code(), Code::InvalidArgument);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ordered_is_proved_once_it_is_certified_and_what_was_not_is_refused_by_name() {
    let network = Network::new();
    let running = network.start().await;
    let client = running.client().await;
    let wallet = client.wallet(network.payer.clone());
    let mut placed = Vec::new();
    for byte in 1..=6 {
        let sent = wallet.submit(&leg(byte), &Terms::default()).await.unwrap();
        let status = client.watch(sent.id, Level::Certified).finish().await.unwrap();
        placed.push((sent.id, status.progress.place().unwrap().height));
    }
    let unknown = Leg { rollup: RollupId::new(555), transaction: vec![1] };
    let terms = Terms { any_rollup: true, ..Terms::default() };
    let unopened = wallet.submit(&[unknown], &terms).await.unwrap().id;
    client.watch(unopened, Level::Certified).finish().await.unwrap();
    // More heights than trees are kept.
    for (byte, (id, height)) in (1..).zip(&placed) {
        let certified = client.certified_commitment(*height).await.unwrap();
        let commitment = &certified.commitment;
        let hash = Item::Hash(keccak(&[byte; 100]));
        let found = client.transaction_proof(commitment, ROLLUP, hash).await.unwrap();
        assert_eq!(found.batch.leaf.rollup, ROLLUP);
        let run = Run { first: 0, count: Run::COUNT_MAX };
        let batch = client.batch_proof(commitment, ROLLUP, run).await.unwrap();
        assert!(batch.is_whole() && batch.transactions.contains(&found.transaction));
        let (again, atomic) = client.atomic_proof(*id).await.unwrap();
        assert_eq!((again.commitment.height, atomic.legs.len()), (*height, 1));
        client.absence_proof(commitment, RollupId::new(902)).await.unwrap();
        client.absence_proof(commitment, RollupId::new(555)).await.unwrap();
    }
    let first = client.certified_commitment(Height::new(1)).await.unwrap();
    client.absence_proof(&first.commitment, ROLLUP).await.unwrap();
    refuses_what_was_not_ordered(&running, placed[0].1.as_u64(), unopened.as_bytes()).await;
    running.stop().await;
}

async fn refuses_what_was_not_ordered(running: &Running, height: u64, unopened: &[u8]) {
    use v1::get_transaction_proof_request::Transaction;
    let item = |item| Some(Transaction::Item(item));
    let hash = |byte, bytes| Some(Transaction::TransactionHash(vec![byte; bytes]));
    let asked = |height, rollup_id, transaction| v1::GetTransactionProofRequest {
        height,
        rollup_id,
        transaction,
    };
    let ours = ROLLUP.as_u64();
    let transactions = [
        (asked(height, ours, None), Code::InvalidArgument, "transaction is missing"),
        (asked(height, ours, hash(1, 31)), Code::InvalidArgument, "expected 32"),
        (asked(height, ours, hash(1, 32)), Code::NotFound, "no transaction 0x01"),
        (asked(height, ours, item(u32::MAX)), Code::NotFound, "no item 4294967295"),
        (asked(height, 902, item(0)), Code::NotFound, "rollup 902 has no batch"),
        (asked(1, ours, item(0)), Code::NotFound, "no batch at height 1"),
        (asked(0, ours, item(0)), Code::OutOfRange, "heights from 1 on, found 0"),
        (asked(u64::MAX, ours, item(0)), Code::NotFound, "is not revealed"),
    ];
    let mut service = running.settlement();
    for (request, code, words) in transactions {
        let refusal = service.get_transaction_proof(request).await.map(drop).unwrap_err();
        assert_refusal(&refusal, code, words);
    }
    let batches = [
        (0, 0, Code::InvalidArgument, "count is 1 to 4096, found 0"),
        (0, 4_097, Code::InvalidArgument, "count is 1 to 4096, found 4097"),
        (u32::MAX, 1, Code::NotFound, "no item 4294967295"),
    ];
    for (first, count, code, words) in batches {
        let request = v1::GetBatchProofRequest { height, rollup_id: ours, first, count };
        let refusal = service.get_batch_proof(request).await.map(drop).unwrap_err();
        assert_refusal(&refusal, code, words);
    }
    let bundles: [(&[u8], Code, &str); 3] = [
        (&[1; 31], Code::InvalidArgument, "bundle_id"),
        (&[9; 32], Code::NotFound, "no block that is revealed here has bundle"),
        (unopened, Code::NotFound, "did not open"),
    ];
    for (id, code, words) in bundles {
        let request = v1::GetAtomicProofRequest { bundle_id: id.to_vec() };
        let refusal = service.get_atomic_proof(request).await.map(drop).unwrap_err();
        assert_refusal(&refusal, code, words);
    }
    let heights = [
        (height, Code::NotFound, "rollup 901 has a batch"),
        (0, Code::OutOfRange, "heights from 1 on, found 0"),
        (u64::MAX, Code::NotFound, "is not revealed"),
    ];
    for (height, code, words) in heights {
        let request = v1::GetAbsenceProofRequest { height, rollup_id: ours };
        let refusal = service.get_absence_proof(request).await.map(drop).unwrap_err();
        assert_refusal(&refusal, code, words);
    }
    for (height, code, words) in [heights[1], heights[2]] {
        let request = v1::GetCertifiedCommitmentRequest { height };
        let refusal = service.get_certified_commitment(request).await.map(drop).unwrap_err();
        assert_refusal(&refusal, code, words);
    }
}

fn assert_refusal(refusal: &Status, code: Code, words: &str) {
    assert_eq!(refusal.code(), code, "{refusal:?}");
    assert!(refusal.message().contains(words), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_make_no_sense_are_refused_by_name() {
    let network = Network::new();
    let running = network.start().await;
    running.heartbeat(1).await;
    let code = |status: Result<(), Status>| status.map_err(|status| status.code());
    let stream = |rollup_id, start| v1::StreamBatchesRequest { rollup_id, start };
    let streamed =
        running.sequence().stream_batches(stream(7, Some(WireStart::Latest(true)))).await;
    assert_eq!(code(streamed.map(drop)), Err(Code::NotFound));
    let streamed = running.sequence().stream_batches(stream(901, None)).await;
    assert_eq!(code(streamed.map(drop)), Err(Code::InvalidArgument));
    for count in [0, 101, u32::MAX] {
        let page = v1::GetBatchesRequest { rollup_id: 901, from_sequence: u64::MAX, count };
        let page = running.sequence().get_batches(page).await;
        assert_eq!(code(page.map(drop)), Err(Code::InvalidArgument), "{count}");
    }
    let block = v1::GetBlockRequest { height: u64::MAX };
    assert_eq!(code(running.node().get_block(block).await.map(drop)), Err(Code::NotFound));
    for (from_epoch, expected) in [(0, Code::InvalidArgument), (u64::MAX, Code::Unavailable)] {
        let committees = v1::GetCommitteesRequest { from_epoch };
        let committees = running.node().get_committees(committees).await;
        assert_eq!(code(committees.map(drop)), Err(expected));
    }
    for (bytes, expected) in [(31, Code::InvalidArgument), (32, Code::NotFound)] {
        let bundle = v1::GetBundleRequest { bundle_id: vec![9; bytes] };
        assert_eq!(code(running.node().get_bundle(bundle).await.map(drop)), Err(expected));
    }
    let watch = v1::WatchBundleRequest { bundle_id: vec![9; 32], until: v1::Level::Final.into() };
    let watched = running.submit().watch_bundle(watch).await;
    assert_eq!(code(watched.map(drop)), Err(Code::Unimplemented));
    let fee = v1::EstimateFeeRequest { plaintext_bytes: u32::MAX };
    assert_eq!(
        code(running.submit().estimate_fee(fee).await.map(drop)),
        Err(Code::InvalidArgument)
    );
    let account = v1::GetAccountRequest { address: vec![1; 19], lane: 0 };
    let account = running.submit().get_account(account).await;
    assert_eq!(code(account.map(drop)), Err(Code::InvalidArgument));
    let status = v1::GetBundleStatusRequest { bundle_id: vec![9; 32] };
    let status = running.submit().get_bundle_status(status).await.unwrap().into_inner();
    assert_eq!(status.status.unwrap().level(), v1::Level::Unspecified);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_http_leave_the_node_serving() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let network = Network::new();
    let running = network.start().await;
    let address = running.url.trim_start_matches("http://");
    for bytes in [vec![0xff; 10_000], b"GET / HTTP/1.0\r\n\r\n".to_vec(), Vec::new()] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        drop(socket.read_to_end(&mut Vec::new()).await);
    }
    let status = running.node().get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert!(status.signing);
    let request =
        tonic_health::pb::HealthCheckRequest { service: "conclave.v1.SubmitService".to_owned() };
    let mut health = tonic_health::pb::health_client::HealthClient::new(running.channel.clone());
    let health = health.check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    running.stop().await;
}

/// The metrics; none if the node hangs up.
async fn metrics_page(address: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut socket = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut page = String::new();
    socket.read_to_string(&mut page).await.ok()?;
    (!page.is_empty()).then_some(page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_hangs_up_on_too_many_and_serves_again_when_they_leave() {
    let network = Network::new();
    let running = network.start().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(tokio::net::TcpStream::connect(&running.metrics).await.unwrap());
    }
    assert_eq!(metrics_page(&running.metrics).await, None, "all places are taken");
    drop(held);
    // It hears of each that has left; until then it hangs up.
    while metrics_page(&running.metrics).await.is_none() {}
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_on_a_bundle_that_stays_unknown_ends_and_says_why() {
    let network = Network::new();
    let running = network.start().await;
    let watch = v1::WatchBundleRequest { bundle_id: vec![9; 32], until: 0 };
    let mut levels = running.submit().watch_bundle(watch).await.unwrap().into_inner();
    let first = levels.message().await.unwrap().unwrap().status.unwrap();
    assert_eq!(first.level(), v1::Level::Unspecified, "the present status comes first");
    let end = levels.message().await.unwrap_err();
    assert_eq!(end.code(), Code::NotFound);
    let remedy = "hand it in again, or seal it again if the era of its key is over";
    assert!(end.message().ends_with(remedy), "{end:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_reflection_tell_what_is_promised() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let network = Network::new();
    let running = network.start().await;
    let client = running.client().await;
    let wallet = client.wallet(network.payer.clone());
    let sent = wallet.submit(&leg(1), &Terms::default()).await.unwrap();
    client.watch(sent.id, Level::Revealed).finish().await.unwrap();
    let page = metrics_page(&running.metrics).await.unwrap();
    for family in [
        "conclave_height ",
        "conclave_revealed_height ",
        "conclave_round ",
        "conclave_signing 1",
        "kind=\"open\"",
        "conclave_pool_bundles ",
        "conclave_pool_bytes ",
        "conclave_job_seconds_bucket",
        "conclave_persist_seconds_bucket",
        "conclave_peer_bytes",
        "conclave_grpc_requests_total",
        "conclave_latency_seconds_bucket",
        "level=\"ordered\"",
        "level=\"revealed\"",
    ] {
        assert!(page.contains(family), "{family} is missing in {page}");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(running.channel.clone());
    let answers = reflection.server_reflection_info(futures::stream::iter([request])).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list of services: {answer:?}");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["SubmitService", "SequenceService", "NodeService"] {
        assert!(names.contains(&format!("conclave.v1.{service}").as_str()), "{names:?}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_lost_synced_records_does_not_sign_and_says_why() {
    let network = Network::new();
    let running = network.start().await;
    running.heartbeat(5).await;
    running.stop().await;
    let database = network.validator().join("data/db");
    std::fs::remove_dir_all(&database).unwrap();
    let running = network.start().await;
    let status = running.node().get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert!(!status.signing);
    assert!(status.not_signing_reason.contains("records were lost"), "{status:?}");
    running.stop().await;
    std::fs::remove_file(network.validator().join("data/signer.state")).unwrap();
    let running = network.start().await;
    let status = running.node().get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert!(!status.signing, "an empty disk may belong to anyone");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_refuses_foreign_data_a_foreign_host_and_a_directory_in_use() {
    let (network, other) = (Network::new(), Network::new());
    let running = network.start().await;
    let mut config = network.config();
    // Not read before the database is held: until then `conclave secrets rekey` may be changing it.
    config.keys.storage = Some(network.validator().join("no.key"));
    let twice = Node::start(&config, None).await.err().unwrap();
    assert!(matches!(twice, NodeError::Store(StoreError::Locked { .. })), "{twice}");
    running.stop().await;
    let mut config = network.config();
    config.genesis = other.config().genesis;
    let foreign = Node::start(&config, None).await.err().unwrap();
    assert!(matches!(foreign, NodeError::Signer(_)), "{foreign}");
    let mut config = network.config();
    config.keys.network = other.config().keys.network;
    let stranger = Node::start(&config, None).await.err().unwrap();
    assert!(matches!(stranger, NodeError::NetworkKey(_)), "{stranger}");
    let mut config = network.config();
    config.keys.consensus = other.config().keys.consensus;
    // A key that no committee has may be elected one day: until then the node follows.
    let stranger = Node::start(&config, None).await.unwrap();
    let reason = stranger.driver().snapshot().status.not_signing.clone().unwrap();
    assert!(reason.contains("no consensus key in the committee"), "{reason}");
    stranger.run(async {}).await.unwrap();
}
