//! What a thief, a cheat or a fool hands in, and the exact refusal that each gets.

use conclave_client::{Level, Payer, Terms, messages as v1};
use conclave_grpc::v1::submit_service_client::SubmitServiceClient;
use conclave_types::{
    BundleNonce, EncryptedBundle, Gwei, Height, HeightDelta, KeyId, Leg, NetworkId, PayerSignature,
    RollupId,
};
use tonic::{Code, Status};

use crate::harness::network::{Network, PATIENCE, payers};

/// Hands in any bytes; what a validator makes of them.
async fn submit(network: &Network, bundle: Vec<u8>) -> Result<v1::Receipt, Status> {
    let endpoint = network.endpoints[0].clone();
    let mut service = SubmitServiceClient::connect(endpoint).await.expect("a validator listens");
    let answer = service.submit_bundle(v1::SubmitBundleRequest { bundle }).await?;
    Ok(answer.into_inner().receipt.expect("an admission has a receipt"))
}

fn encode(bundle: &EncryptedBundle) -> Vec<u8> {
    borsh::to_vec(bundle).expect("writes")
}

/// Seals one leg with `payer` at `sequence` of `lane`.
async fn sealed(network: &Network, payer: &Payer, lane: u64, sequence: u64) -> EncryptedBundle {
    let leg = Leg {
        rollup: RollupId::new(901),
        transaction: [lane.to_be_bytes(), sequence.to_be_bytes()].concat(),
    };
    let nonce = BundleNonce { lane, sequence };
    network.client.seal(payer, nonce, &[leg], &Terms::default()).await.expect("seals")
}

/// Changes a header and signs what comes of it: all that somebody with a key of his own can do.
fn resigned(
    mut bundle: EncryptedBundle,
    payer: &Payer,
    change: impl FnOnce(&mut EncryptedBundle),
) -> EncryptedBundle {
    change(&mut bundle);
    bundle.signature =
        payer.sign(&bundle.header, &bundle.body, &bundle.capsule).expect("a key signs");
    bundle
}

#[expect(clippy::too_many_lines, reason = "one table, a line or two for each offence")]
#[tokio::test(flavor = "multi_thread")]
async fn each_bad_bundle_gets_its_exact_refusal() {
    let network = Network::start().await;
    let (owner, thief) = (payers().swap_remove(0), payers().swap_remove(1));
    let poor = Payer::random();
    let good = sealed(&network, &owner, 0, 0).await;
    let bytes = encode(&good);
    let capsule_at = 32 + 1 + 32 + 20 + 16 + 8 + 8 + 8 + 4 + 4;
    assert_eq!(bytes[capsule_at..capsule_at + 48], good.capsule[..48], "the layout of the spec");
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] ^= byte;
        bytes
    };
    let owned = |change: fn(&mut EncryptedBundle)| encode(&resigned(good.clone(), &owner, change));
    let stolen = encode(&resigned(good.clone(), &thief, |b| b.header.payer = thief.address()));
    let mut forged = good.clone();
    forged.header.payer = thief.address();
    let cases: Vec<(&str, Vec<u8>, Code, &str)> = vec![
        ("nothing", vec![], Code::InvalidArgument, "no canonical bundle"),
        ("noise", vec![0xa5; 700], Code::InvalidArgument, "no canonical bundle"),
        (
            "truncated",
            bytes[..bytes.len() - 1].to_vec(),
            Code::InvalidArgument,
            "no canonical bundle",
        ),
        (
            "a byte too many",
            [&bytes[..], &[0]].concat(),
            Code::InvalidArgument,
            "no canonical bundle",
        ),
        (
            "longer than a bundle",
            vec![0; EncryptedBundle::ENCODED_BYTES_MAX + 1],
            Code::InvalidArgument,
            "at most",
        ),
        ("longer than a message", vec![0; 1 << 20], Code::OutOfRange, "too large"),
        ("another's payer, unsigned", encode(&forged), Code::InvalidArgument, "signature is by"),
        ("stolen and signed by the thief", stolen, Code::InvalidArgument, "proof does not hold"),
        (
            "re-priced",
            owned(|b| b.header.max_fee = Gwei::new(1 << 40)),
            Code::InvalidArgument,
            "proof does not hold",
        ),
        (
            "moved to another nonce",
            owned(|b| b.header.nonce.lane = 9),
            Code::InvalidArgument,
            "proof does not hold",
        ),
        (
            "prolonged",
            owned(|b| b.header.valid_until = b.header.valid_until.next()),
            Code::InvalidArgument,
            "proof does not hold",
        ),
        (
            "another network's",
            owned(|b| b.header.network = NetworkId::new([9; 32])),
            Code::InvalidArgument,
            "is for network",
        ),
        (
            "another key's",
            owned(|b| b.header.key_id = KeyId::new([9; 32])),
            Code::InvalidArgument,
            "sealed to key",
        ),
        (
            "another suite's",
            owned(|b| b.header.suite = 2),
            Code::InvalidArgument,
            "sealed with suite",
        ),
        (
            "expired",
            owned(|b| b.header.valid_until = Height::new(0)),
            Code::InvalidArgument,
            "valid until",
        ),
        (
            "valid for ever",
            owned(|b| b.header.valid_until = Height::new(u64::MAX)),
            Code::FailedPrecondition,
            "asks to be valid",
        ),
        (
            "cheaper than inclusion",
            owned(|b| b.header.max_fee = Gwei::new(1)),
            Code::InvalidArgument,
            "allows a fee",
        ),
        (
            "body of another length",
            owned(|b| b.body.truncate(200)),
            Code::InvalidArgument,
            "its header says",
        ),
        ("mauled body", owned(|b| b.body[5] ^= 1), Code::InvalidArgument, "proof does not hold"),
        (
            "mauled proof",
            owned(|b| b.capsule[4 * 48 + 31] ^= 1),
            Code::InvalidArgument,
            "proof does not hold",
        ),
        ("short capsule", owned(|b| b.capsule.truncate(100)), Code::InvalidArgument, "capsule"),
        (
            "u at infinity",
            owned(|b| {
                b.capsule[..48].fill(0);
                b.capsule[0] = 0xc0;
            }),
            Code::InvalidArgument,
            "capsule is malformed",
        ),
        (
            "u off the curve",
            owned(|b| b.capsule[1..48].fill(0xff)),
            Code::InvalidArgument,
            "capsule is malformed",
        ),
        (
            "signature of zeros",
            {
                let mut b = good.clone();
                b.signature = PayerSignature::new([0; 65]);
                encode(&b)
            },
            Code::InvalidArgument,
            "signature",
        ),
        ("a bit of the signature", with(bytes.len() - 40, 1), Code::InvalidArgument, "signature"),
        (
            "a nonce far ahead",
            encode(&sealed(&network, &owner, 3, u64::MAX).await),
            Code::FailedPrecondition,
            "held up to sequence",
        ),
        (
            "no balance",
            encode(&sealed(&network, &poor, 0, 0).await),
            Code::FailedPrecondition,
            "balance",
        ),
    ];
    for (what, bytes, code, words) in cases {
        let refusal = submit(&network, bytes).await.expect_err(what);
        assert_eq!(refusal.code(), code, "{what}: {refusal}");
        assert!(refusal.message().contains(words), "{what}: {}", refusal.message());
    }
    // None of that cost anybody anything, nor stood in the way of the bundle itself.
    let account = network.client.account(owner.address(), 0).await.expect("an account");
    assert_eq!(account.balance, Gwei::new(crate::harness::network::BALANCE_GWEI));
    submit(&network, encode(&good)).await.expect("the good one is admitted");
    network.client.wait(good.id(), Level::Revealed, PATIENCE).await.expect("and revealed");
    assert_eq!(network.status(0).await.expect("an answer").evidence_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_pays_once_whoever_hands_it_in_again() {
    let network = Network::start().await;
    let owner = payers().swap_remove(0);
    let good = sealed(&network, &owner, 0, 0).await;
    let bytes = encode(&good);
    let receipt = submit(&network, bytes.clone()).await.expect("admitted");
    network.client.network().verify_receipt(&receipt, good.id()).expect("the receipt is signed");
    let status = network.client.wait(good.id(), Level::Revealed, PATIENCE).await.expect("revealed");
    let fee = status.progress.place().expect("placed").fee;

    let replayed = submit(&network, bytes).await.expect_err("replayed");
    assert_eq!(replayed.code(), Code::AlreadyExists, "{replayed}");
    let reused = encode(&sealed(&network, &owner, 0, 0).await);
    let reused = submit(&network, reused).await.expect_err("a nonce that was used");
    assert_eq!(reused.code(), Code::InvalidArgument, "{reused}");

    let account = network.client.account(owner.address(), 0).await.expect("an account");
    let paid = crate::harness::network::BALANCE_GWEI - account.balance.as_u64();
    assert_eq!(paid, fee.as_u64(), "charged once");
    assert_eq!(account.next_sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_waits_for_the_one_before_it_in_its_lane_only() {
    let network = Network::start().await;
    let owner = payers().swap_remove(0);
    let ahead = sealed(&network, &owner, 1, 1).await;
    let other = sealed(&network, &owner, 2, 0).await;
    let first = sealed(&network, &owner, 1, 0).await;
    submit(&network, encode(&ahead)).await.expect("a small gap is held");
    submit(&network, encode(&other)).await.expect("another lane");
    network.client.wait(other.id(), Level::Revealed, PATIENCE).await.expect("does not wait");
    let status = network.client.status(ahead.id()).await.expect("known");
    assert_eq!(status.progress.level(), Some(Level::Received), "it cannot go before the first");
    submit(&network, encode(&first)).await.expect("fills the gap");
    let wait = async |bundle: &EncryptedBundle| {
        let status = network.client.wait(bundle.id(), Level::Revealed, PATIENCE).await;
        let status = status.expect("revealed");
        let position = status.progress.opened().expect("revealed").position;
        (status.progress.place().expect("placed").height, position)
    };
    assert!(wait(&first).await < wait(&ahead).await, "a lane keeps its order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_open_to_legs_of_this_network_is_undecryptable_and_pays() {
    let network = Network::start().await;
    let owner = payers().swap_remove(0);
    let leg = |id| Leg { rollup: RollupId::new(id), transaction: vec![1] };
    let cases = [
        (vec![leg(555)], "unknown rollup"),
        (vec![leg(901), leg(555)], "unknown rollup"),
        (vec![leg(901), leg(901)], "duplicate rollup"),
    ];
    for ((legs, _reason), sequence) in cases.into_iter().zip(0..) {
        let terms =
            Terms { any_rollup: true, valid_for: HeightDelta::new(1_000), ..Terms::default() };
        let nonce = BundleNonce { lane: 0, sequence };
        let bundle = network.client.seal(&owner, nonce, &legs, &terms).await.expect("seals");
        submit(&network, encode(&bundle)).await.expect("nobody can see inside");
        let status = network.client.wait(bundle.id(), Level::Revealed, PATIENCE).await;
        let status = status.expect("it stalls nothing");
        let opened = status.progress.opened().expect("revealed");
        assert!(opened.legs.is_err(), "{legs:?} came as {:?}", opened.legs);
        assert!(status.progress.place().expect("placed").fee > Gwei::ZERO, "it pays");
    }
    crate::harness::oracle::check(&network).await;
}
