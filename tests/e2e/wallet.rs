//! What validators lose before it is ordered is handed in again by whoever sent it: the SDK's wallet.

use conclave_client::{Admission, ClientError, Level, Submission, Terms, Wallet};
use conclave_types::{BundleNonce, Height, HeightDelta, Leg, RollupId};
use tonic::Code;

use crate::harness::{
    network::{Network, PATIENCE, connect, payers},
    oracle,
    wait::until,
};

async fn submit(wallet: &Wallet, lane: u64, valid_for: u64) -> Submission {
    let transaction = format!("a bundle in lane {lane}").into_bytes();
    let terms =
        Terms { lane: Some(lane), valid_for: HeightDelta::new(valid_for), ..Terms::default() };
    let legs = [Leg { rollup: RollupId::new(901), transaction }];
    let submission = wallet.submit(&legs, &terms).await.expect("a validator takes it");
    assert!(matches!(submission.admission, Admission::Received(_)), "{submission:?}");
    submission
}

/// Looks at a height this often before it counts as standing still: longer than a proposer without bundles waits
/// with its block. Bundles that come later are in no block that validators have on disk.
const LOOKS: u32 = 60;

async fn wait_idle_proposal(network: &Network) {
    let (mut height, mut looks) = (network.height(0).await, 0);
    until("the chain to stand still", PATIENCE, async || {
        let now = network.height(0).await;
        looks = if now == height { looks + 1 } else { 0 };
        height = now;
        (looks >= LOOKS).then_some(())
    })
    .await;
}

/// A network that lost, with all its memory, bundles for which it had signed receipts.
async fn network_that_forgot(wallet: &Wallet, network: &mut Network) -> Vec<Submission> {
    // Without two of four nothing is decided, so nothing that is handed in now outlives the other two.
    network.kill(2);
    network.kill(3);
    wait_idle_proposal(network).await;
    let mut submissions = Vec::new();
    for _ in 0..3 {
        submissions.push(submit(wallet, 0, 1_000).await);
    }
    submissions.push(submit(wallet, 1, 20).await);
    network.restart_all();
    submissions
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_validators_forgot_is_handed_in_again_and_blocks_nothing() {
    let mut network = Network::start().await;
    let wallet = network.client.wallet(payers()[0].clone());
    let before = submit(&wallet, 0, 1_000).await;
    wallet.watch(&before, Level::Revealed).finish_within(PATIENCE).await.expect("revealed");
    let mut lost = network_that_forgot(&wallet, &mut network).await;
    let short_lived = lost.pop().expect("four were sent");
    for index in 0..2 {
        for submission in &lost {
            network.wait_status(index, "an answer", |_| true).await;
            let known = network.clients[index].status(submission.id).await.expect("an answer");
            assert_eq!(known.progress.level(), None, "validator {index} has forgotten it");
        }
    }

    // Lane 1: it expires before anyone looks after it. Its watch says so, and the lane goes on.
    let expired = short_lived.bundle.header.valid_until;
    network.wait_height(0, expired.as_u64() + 1).await;
    let error = wallet.watch(&short_lived, Level::Revealed).finish_within(PATIENCE).await;
    let Err(ClientError::Refused(status)) = error else { panic!("{error:?}") };
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let next = submit(&wallet, 1, 1_000).await;
    assert_eq!(next.bundle.header.nonce, short_lived.bundle.header.nonce, "the hole is filled");
    wallet.watch(&next, Level::Revealed).finish_within(PATIENCE).await.expect("revealed");

    // Lane 0: the next bundle would wait behind the lost ones for ever.
    let next = submit(&wallet, 0, 1_000).await;
    wallet.watch(&next, Level::Revealed).finish_within(PATIENCE).await.expect("revealed");
    let mut heights = Vec::new();
    for submission in lost.iter().chain([&next]) {
        let status = network.client.status(submission.id).await.expect("an answer");
        heights.push(status.progress.place().expect("a place").height);
    }
    assert!(heights.is_sorted(), "in the order of the lane: {heights:?}");
    assert!(heights[0] > Height::ZERO);
    let places = oracle::check(&network).await;
    assert!(!places.contains_key(&short_lived.id), "what has expired is in no block");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_on_a_bundle_that_nobody_has_ends_and_says_so() {
    let network = Network::start().await;
    let client = connect(&network.endpoints[..2]).await;
    let nonce = BundleNonce { lane: 0, sequence: 0 };
    let legs = [Leg { rollup: RollupId::new(901), transaction: vec![1] }];
    let sealed = client.seal(&payers()[0], nonce, &legs, &Terms::default()).await.expect("seals");
    let mut watch = client.watch(sealed.id(), Level::Revealed);
    let error = watch.finish_within(PATIENCE).await;
    assert!(matches!(error, Err(ClientError::Unknown { id }) if id == sealed.id()), "{error:?}");
}
