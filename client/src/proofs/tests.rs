//! A client before a node that serves proofs, and what becomes of each lie in one.

use std::time::Duration;

use conclave_derivation::{Cursors, ProofError, Prover};
use conclave_grpc::{
    doors::{Bounds, Doors},
    v1::settlement_service_server::{SettlementService, SettlementServiceServer},
};
use conclave_types::{
    BlockId, Epoch, L1Origin, Leg, Outcome, PayerAddress, RevealedBlock, RevealedBundle,
    SettlementError, Time,
    digest::SigningDomain,
    mmr::{self, Peaks, Subtree},
};
use tonic::{Request, Status, transport::Server};

use super::*;
use crate::{
    Network, Retry,
    endpoints::Endpoints,
    network::tests::{genesis, settle},
};

/// What a node may tell otherwise than it is.
type Lie<T> = fn(&mut T);

const ROLLUPS: [u64; 3] = [10, 20, 30];
const HEIGHT: Height = Height::new(2);
const BUNDLE: BundleId = BundleId::new([1; 32]);

/// A node that knows a chain of four heights, the second of which has a block with batches of three rollups, and what
/// it tells otherwise.
#[derive(Clone)]
struct Node {
    network: Network,
    prover: std::sync::Arc<Prover>,
    commitments: Vec<BlockCommitment>,
    subtrees: Vec<(Subtree, Digest)>,
    signers: Vec<u8>,
    certified: usize,
    certificate: Lie<v1::GetCertifiedCommitmentResponse>,
    history: Lie<v1::HistoryProof>,
    transaction: Lie<v1::GetTransactionProofResponse>,
    batch: Lie<v1::GetBatchProofResponse>,
    atomic: Lie<v1::GetAtomicProofResponse>,
    absence: Lie<v1::GetAbsenceProofResponse>,
}

fn block() -> RevealedBlock {
    let bundle = |byte: u8, rollups: &[u64]| RevealedBundle {
        id: BundleId::new([byte; 32]),
        payer: PayerAddress::ZERO,
        draw: Digest::ZERO,
        outcome: Outcome::Opened(
            rollups
                .iter()
                .map(|id| Leg { rollup: RollupId::new(*id), transaction: vec![byte; 9] })
                .collect(),
        ),
    };
    RevealedBlock {
        height: HEIGHT,
        block: BlockId::new([2; 32]),
        time: Time::ZERO,
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        forced_cursor: 0,
        beacon: Digest::ZERO,
        forced: vec![],
        bundles: vec![bundle(1, &ROLLUPS), bundle(2, &[20]), bundle(3, &[20])],
    }
}

impl Node {
    fn honest() -> Self {
        let network = Network::new(genesis()).unwrap();
        let domain = SigningDomain::of(network.genesis());
        let block = block();
        let batches = Cursors::default().batches(&block);
        let prover = Prover::new(block, batches).unwrap();
        let (mut peaks, mut commitments, mut subtrees) = (Peaks::default(), vec![], vec![]);
        for height in (1..=4).map(Height::new) {
            let root = if height == HEIGHT {
                prover.root()
            } else {
                RevealRoot { root: Digest::ZERO, count: 0 }
            };
            let commitment = BlockCommitment {
                epoch: Epoch::ZERO,
                height,
                block: BlockId::new([height.as_u64().to_be_bytes()[7]; 32]),
                history_root: peaks.root(),
                reveal_root: root.root,
                rollup_count: root.count,
                l1_origin: L1Origin::default(),
                forced_cursor: 0,
                withdrawals_root: Digest::ZERO,
                epoch_end: None,
            };
            subtrees.extend(peaks.append(&domain.commitment(&commitment)));
            commitments.push(commitment);
        }
        Self {
            network,
            prover: std::sync::Arc::new(prover),
            commitments,
            subtrees,
            signers: vec![0, 1, 3],
            certified: 4,
            certificate: |_| {},
            history: |_| {},
            transaction: |_| {},
            batch: |_| {},
            atomic: |_| {},
            absence: |_| {},
        }
    }

    fn path(&self, size: u64) -> Vec<Digest> {
        let kept = |at: Subtree| {
            self.subtrees.iter().find(|(subtree, _)| *subtree == at).map(|(_, root)| *root)
        };
        mmr::prove_inclusion(size, HEIGHT.as_u64() - 1, kept).unwrap()
    }

    fn commitment(&self) -> BlockCommitment {
        self.commitments[1].clone()
    }

    /// What a client makes of it.
    async fn asked<T>(self, what: impl AsyncFnOnce(Client, BlockCommitment) -> T) -> T {
        let bounds = Bounds { connections_max: 8, idle_max: Duration::from_secs(60) };
        let doors = Doors::open("127.0.0.1:0".parse().unwrap(), bounds).await.unwrap();
        let address = doors.address().unwrap().to_string();
        let endpoints = Endpoints::new(&[address], Retry::never()).unwrap();
        let client = Client::of(endpoints, self.network.clone());
        let commitment = self.commitment();
        let router = Server::builder().add_service(SettlementServiceServer::new(self));
        tokio::select! {
            outcome = what(client, commitment) => outcome,
            ended = router.serve_with_incoming(doors.guests()) => panic!("{ended:?}"),
        }
    }
}

fn told<T>(mut answer: T, lie: Lie<T>) -> Result<Response<T>, Status> {
    lie(&mut answer);
    Ok(Response::new(answer))
}

#[tonic::async_trait]
impl SettlementService for Node {
    async fn get_commitment(
        &self,
        request: Request<v1::GetCommitmentRequest>,
    ) -> Result<Response<v1::GetCommitmentResponse>, Status> {
        let under = request.get_ref().under;
        let commitment = self.commitment();
        let proof = HistoryProof { commitment, under: Height::new(under), path: self.path(under) };
        let mut proof = v1::HistoryProof::from(&proof);
        (self.history)(&mut proof);
        Ok(Response::new(v1::GetCommitmentResponse { proof: Some(proof) }))
    }

    async fn get_request_outcome(
        &self,
        _: Request<v1::GetRequestOutcomeRequest>,
    ) -> Result<Response<v1::GetRequestOutcomeResponse>, Status> {
        Err(Status::not_found("nobody asks for money here"))
    }

    async fn list_withdrawals(
        &self,
        _: Request<v1::ListWithdrawalsRequest>,
    ) -> Result<Response<v1::ListWithdrawalsResponse>, Status> {
        Err(Status::not_found("nobody asks for money here"))
    }

    async fn get_withdrawal_proof(
        &self,
        _: Request<v1::GetWithdrawalProofRequest>,
    ) -> Result<Response<v1::GetWithdrawalProofResponse>, Status> {
        Err(Status::not_found("nobody asks for money here"))
    }

    async fn get_certified_commitment(
        &self,
        _: Request<v1::GetCertifiedCommitmentRequest>,
    ) -> Result<Response<v1::GetCertifiedCommitmentResponse>, Status> {
        let signed = self.commitments[self.certified - 1].clone();
        let path = if signed.height == HEIGHT {
            Vec::new()
        } else {
            self.path(signed.height.as_u64() - 1)
        };
        let certificate = settle(&self.network, signed, &self.signers);
        let certified = CertifiedCommitment { commitment: self.commitment(), certificate, path };
        told((&certified).into(), self.certificate)
    }

    async fn get_transaction_proof(
        &self,
        request: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        let v1::GetTransactionProofRequest { rollup_id, transaction, .. } = request.into_inner();
        let rollup = RollupId::new(rollup_id);
        let item = match transaction.unwrap() {
            Transaction::Item(item) => Some(item),
            Transaction::TransactionHash(hash) => {
                self.prover.find(rollup, &Digest::from_slice(&hash).unwrap())
            }
        };
        let proof = item.and_then(|item| self.prover.transaction(rollup, item));
        told((&proof.ok_or_else(|| Status::not_found("there is none"))?).into(), self.transaction)
    }

    async fn get_batch_proof(
        &self,
        request: Request<v1::GetBatchProofRequest>,
    ) -> Result<Response<v1::GetBatchProofResponse>, Status> {
        let v1::GetBatchProofRequest { rollup_id, first, count, .. } = request.into_inner();
        let proof = self.prover.run(RollupId::new(rollup_id), first, count).unwrap();
        told((&proof).into(), self.batch)
    }

    async fn get_atomic_proof(
        &self,
        _: Request<v1::GetAtomicProofRequest>,
    ) -> Result<Response<v1::GetAtomicProofResponse>, Status> {
        let proof = self.prover.atomic(BUNDLE).unwrap();
        let legs = proof.legs.iter().map(Into::into).collect();
        told(v1::GetAtomicProofResponse { height: HEIGHT.as_u64(), legs }, self.atomic)
    }

    async fn get_absence_proof(
        &self,
        request: Request<v1::GetAbsenceProofRequest>,
    ) -> Result<Response<v1::GetAbsenceProofResponse>, Status> {
        // Also of a rollup that is there: as near to absent as can be shown.
        let rollup = RollupId::new(request.get_ref().rollup_id);
        let nearest = RollupId::new(rollup.as_u64() + 1);
        let proof = self.prover.absence(rollup).or_else(|| self.prover.absence(nearest));
        told((&proof.unwrap()).into(), self.absence)
    }
}

fn shows_nothing(error: &ClientError, expected: ProofError) {
    assert!(matches!(error, ClientError::Proof(found) if *found == expected), "{error:?}");
}

fn contradicts(error: &ClientError, expected: &str) {
    assert!(matches!(error, ClientError::Inconsistent(found) if *found == expected), "{error:?}");
}

fn spoil(row: &mut [u8]) {
    row[0] ^= 1;
}

#[tokio::test]
async fn what_an_honest_node_serves_is_believed_whoever_signed_at_or_above_the_height() {
    for certified in 2..=4 {
        let node = Node { certified, ..Node::honest() };
        node.asked(async |client, commitment| {
            let found = client.certified_commitment(HEIGHT).await.unwrap();
            assert_eq!(found.commitment, commitment);
            let rollup = RollupId::new(20);
            let second = client.transaction_proof(&commitment, rollup, Item::At(1)).await.unwrap();
            let again = Item::Hash(second.transaction);
            let again = client.transaction_proof(&commitment, rollup, again).await.unwrap();
            assert_eq!(second, again);
            let run = Run { first: 1, count: Run::COUNT_MAX };
            let run = client.batch_proof(&commitment, rollup, run).await.unwrap();
            assert_eq!((run.transactions.len(), run.is_whole()), (2, false));
            let (place, atomic) = client.atomic_proof(BUNDLE).await.unwrap();
            assert_eq!((place, atomic.legs.len()), (found, 3));
            client.absence_proof(&commitment, RollupId::new(21)).await.unwrap();
            let history = client.history_proof(&commitment, Height::new(3)).await.unwrap();
            assert_eq!(history.commitment, commitment);
        })
        .await;
    }
}

async fn uncertified(node: Node) -> ClientError {
    node.asked(async |client, _| client.certified_commitment(HEIGHT).await.unwrap_err()).await
}

#[tokio::test]
async fn a_commitment_that_no_quorum_has_signed_for_is_refused() {
    let two = uncertified(Node { signers: vec![0, 1], ..Node::honest() }).await;
    assert!(
        matches!(two, ClientError::Settlement(SettlementError::NoQuorum { expected: 3, found: 2 })),
        "{two:?}"
    );
    let forged: [Lie<v1::GetCertifiedCommitmentResponse>; 4] = [
        |answer| spoil(&mut signed(answer).history_root),
        |answer| signed(answer).height += 1,
        |answer| signed(answer).epoch += 1,
        |answer| answer.certificate.as_mut().unwrap().signers = vec![0, 1, 2],
    ];
    for certificate in forged {
        let error = uncertified(Node { certificate, ..Node::honest() }).await;
        let bad = ClientError::Settlement(SettlementError::BadSignature);
        assert_eq!(format!("{error:?}"), format!("{bad:?}"));
    }
    let uncovered: [Lie<v1::GetCertifiedCommitmentResponse>; 5] = [
        |answer| spoil(&mut answer.commitment.as_mut().unwrap().reveal_root),
        |answer| answer.commitment.as_mut().unwrap().rollup_count += 1,
        |answer| spoil(&mut answer.path[0]),
        |answer| answer.path.push(vec![0; 32]),
        |answer| answer.path.clear(),
    ];
    for certificate in uncovered {
        let error = uncertified(Node { certificate, ..Node::honest() }).await;
        contradicts(&error, "the certificate covers the commitment");
    }
    // Its own certificate covers it without a path.
    let certificate: Lie<v1::GetCertifiedCommitmentResponse> =
        |answer| answer.path = vec![vec![0; 32]];
    let error = uncertified(Node { certified: 2, certificate, ..Node::honest() }).await;
    contradicts(&error, "the certificate covers the commitment");
    let certificate: Lie<v1::GetCertifiedCommitmentResponse> =
        |answer| answer.commitment.as_mut().unwrap().height = 3;
    let error = uncertified(Node { certificate, ..Node::honest() }).await;
    contradicts(&error, "a commitment is of the height asked for");
}

fn signed(answer: &mut v1::GetCertifiedCommitmentResponse) -> &mut v1::BlockCommitment {
    answer.certificate.as_mut().unwrap().commitment.as_mut().unwrap()
}

#[tokio::test]
async fn a_false_proof_of_a_transaction_is_refused() {
    let rollup = RollupId::new(20);
    let ask = async |lie: Lie<v1::GetTransactionProofResponse>, item: Item| {
        let node = Node { transaction: lie, ..Node::honest() };
        let ask = async |client: Client, commitment: BlockCommitment| {
            client.transaction_proof(&commitment, rollup, item).await.unwrap_err()
        };
        node.asked(ask).await
    };
    let unlike: [Lie<v1::GetTransactionProofResponse>; 2] =
        [|answer| leaf(&mut answer.batch).rollup_id = 10, |answer| answer.item = 2];
    for lie in unlike {
        let error = ask(lie, Item::At(1)).await;
        contradicts(&error, "a proof is of the transaction asked for");
    }
    let hash = Node::honest().prover.transaction(rollup, 1).unwrap().transaction;
    let error = ask(|answer| spoil(&mut answer.transaction_hash), Item::Hash(hash)).await;
    contradicts(&error, "a proof is of the transaction asked for");
    let outside: [Lie<v1::GetTransactionProofResponse>; 8] = [
        |answer| leaf(&mut answer.batch).index += 1,
        |answer| leaf(&mut answer.batch).items += 1,
        |answer| leaf(&mut answer.batch).transaction_bytes += 1,
        |answer| leaf(&mut answer.batch).sequence += 1,
        |answer| leaf(&mut answer.batch).previous_height += 1,
        |answer| spoil(&mut leaf(&mut answer.batch).transaction_root),
        |answer| spoil(&mut leaf(&mut answer.batch).atomic_root),
        |answer| spoil(&mut answer.batch.as_mut().unwrap().siblings[0]),
    ];
    for lie in outside {
        shows_nothing(&ask(lie, Item::At(1)).await, ProofError::NotInBlock { rollup });
    }
    let elsewhere: [Lie<v1::GetTransactionProofResponse>; 2] =
        [|answer| spoil(&mut answer.transaction_hash), |answer| spoil(&mut answer.siblings[0])];
    let refused = ProofError::TransactionNotInBatch { rollup, item: 1 };
    for lie in elsewhere {
        shows_nothing(&ask(lie, Item::At(1)).await, refused);
    }
    // By its hash anybody can ask for it, and a node may say that it is another item.
    let error = ask(|answer| answer.item = 0, Item::Hash(hash)).await;
    shows_nothing(&error, ProofError::TransactionNotInBatch { rollup, item: 0 });
    let error = ask(|answer| answer.batch = None, Item::At(1)).await;
    assert!(matches!(error, ClientError::Wire(WireError::Missing("batch"))), "{error:?}");
    let error = ask(|_| {}, Item::At(3)).await;
    assert!(matches!(error, ClientError::Refused(_)), "a node need not show that: {error:?}");
}

fn leaf(batch: &mut Option<v1::NamespaceProof>) -> &mut v1::NamespaceLeaf {
    batch.as_mut().unwrap().leaf.as_mut().unwrap()
}

#[tokio::test]
async fn a_false_proof_of_a_batch_is_refused() {
    let rollup = RollupId::new(20);
    let ask = async |lie: Lie<v1::GetBatchProofResponse>| {
        let node = Node { batch: lie, ..Node::honest() };
        let run = Run { first: 1, count: 9 };
        let ask = async |client: Client, commitment: BlockCommitment| {
            client.batch_proof(&commitment, rollup, run).await.unwrap_err()
        };
        node.asked(ask).await
    };
    let unlike: [Lie<v1::GetBatchProofResponse>; 4] = [
        |answer| leaf(&mut answer.batch).rollup_id = 10,
        |answer| answer.first = 0,
        |answer| drop(answer.transaction_hashes.pop()),
        |answer| leaf(&mut answer.batch).items += 1,
    ];
    for lie in unlike {
        contradicts(&ask(lie).await, "a proof is of the transactions asked for");
    }
    shows_nothing(
        &ask(|answer| leaf(&mut answer.batch).sequence += 1).await,
        ProofError::NotInBlock { rollup },
    );
    // Transactions that are left out make a shorter batch, and that is in no block.
    let cut: Lie<v1::GetBatchProofResponse> = |answer| {
        answer.transaction_hashes.pop();
        leaf(&mut answer.batch).items -= 1;
    };
    shows_nothing(&ask(cut).await, ProofError::NotInBlock { rollup });
    let other: [Lie<v1::GetBatchProofResponse>; 4] = [
        |answer| spoil(&mut answer.transaction_hashes[0]),
        |answer| answer.transaction_hashes.swap(0, 1),
        |answer| spoil(&mut answer.siblings[0]),
        |answer| answer.siblings.push(vec![0; 32]),
    ];
    for lie in other {
        shows_nothing(&ask(lie).await, ProofError::TransactionNotInBatch { rollup, item: 1 });
    }
}

#[tokio::test]
async fn a_false_proof_of_a_bundle_is_refused() {
    let ask = async |lie: Lie<v1::GetAtomicProofResponse>, bundle: BundleId| {
        let node = Node { atomic: lie, ..Node::honest() };
        node.asked(async |client, _| client.atomic_proof(bundle).await.unwrap_err()).await
    };
    let leg = |rollup, item| ProofError::LegNotInBatch { rollup: RollupId::new(rollup), item };
    shows_nothing(&ask(|_| {}, BundleId::new([2; 32])).await, leg(10, 0));
    type Case = (Lie<v1::GetAtomicProofResponse>, ProofError);
    let in_batch =
        |rollup, item| ProofError::TransactionNotInBatch { rollup: RollupId::new(rollup), item };
    let table: [Case; 8] = [
        (|answer| drop(answer.legs.pop()), leg(10, 0)),
        (|answer| answer.legs.swap(1, 2), leg(10, 0)),
        (|answer| answer.legs.clear(), ProofError::LegCount { found: 0 }),
        (|answer| spoil(&mut answer.legs[1].transaction_hash), leg(10, 0)),
        (|answer| answer.legs[1].item = 1, in_batch(20, 1)),
        (|answer| spoil(&mut answer.legs[1].transaction_siblings[0]), in_batch(20, 0)),
        (|answer| spoil(&mut answer.legs[1].atomic_siblings[0]), leg(20, 0)),
        (
            |answer| spoil(&mut answer.legs[2].batch.as_mut().unwrap().siblings[0]),
            ProofError::NotInBlock { rollup: RollupId::new(30) },
        ),
    ];
    for (lie, refused) in table {
        shows_nothing(&ask(lie, BUNDLE).await, refused);
    }
    let error = ask(|answer| answer.height = 3, BUNDLE).await;
    contradicts(&error, "a commitment is of the height asked for");
}

#[tokio::test]
async fn a_rollup_that_has_a_batch_is_never_proved_absent() {
    let ask = async |lie: Lie<v1::GetAbsenceProofResponse>, rollup: u64| {
        let node = Node { absence: lie, ..Node::honest() };
        let ask = async |client: Client, commitment: BlockCommitment| {
            client.absence_proof(&commitment, RollupId::new(rollup)).await
        };
        node.asked(ask).await
    };
    for rollup in ROLLUPS {
        let refused = ProofError::NotAbsent { rollup: RollupId::new(rollup) };
        shows_nothing(&ask(|_| {}, rollup).await.unwrap_err(), refused);
    }
    let lies: [Lie<v1::GetAbsenceProofResponse>; 6] = [
        |answer| answer.before = None,
        |answer| answer.after = None,
        |answer| (answer.before, answer.after) = (None, None),
        |answer| std::mem::swap(&mut answer.before, &mut answer.after),
        |answer| leaf(&mut answer.after).index += 1,
        |answer| spoil(&mut answer.before.as_mut().unwrap().siblings[0]),
    ];
    let refused = ProofError::NotAbsent { rollup: RollupId::new(15) };
    for lie in lies {
        shows_nothing(&ask(lie, 15).await.unwrap_err(), refused);
    }
    ask(|_| {}, 15).await.unwrap();
}

#[tokio::test]
async fn the_history_of_another_commitment_is_refused() {
    let ask = async |lie: Lie<v1::HistoryProof>| {
        let node = Node { history: lie, ..Node::honest() };
        let ask = async |client: Client, commitment: BlockCommitment| {
            client.history_proof(&commitment, Height::new(3)).await.unwrap_err()
        };
        node.asked(ask).await
    };
    let other = ask(|proof| proof.commitment.as_mut().unwrap().forced_cursor += 1).await;
    contradicts(&other, "a height has one commitment");
    let above = ask(|proof| proof.under = 4).await;
    contradicts(&above, "a path is under the posting asked for");
}
