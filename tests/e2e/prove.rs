//! What was ordered, proved to whoever trusts the genesis and to L1, by a command that trusts no node.

use alloy::{
    hex,
    primitives::{Address, B256, keccak256},
    sol_types::SolCall,
};
use conclave_client::{Level, Terms, messages as v1};
use conclave_contracts::{
    ConclaveInbox::{
        HistoryProof, proveAbsenceCall, proveAtomicCall, proveTransactionCall,
        proveTransactionsCall,
    },
    bindings::inbox::NamespaceTree::{Inclusion, LegProof},
};
use conclave_node::l1::{Contracts, Endpoints, L1Error, Patience};
use conclave_types::{BundleId, Leg, RollupId};
use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        liar::{self, Lie},
        network::{Network, PATIENCE, payers},
        process::{complaint, conclave},
        wait::until,
    },
    relay::opened,
};

const TRANSACTION: &[u8] = b"act on me";

/// A network that has ordered a bundle for one rollup and one for both, which have settled.
struct Scene {
    l1: L1,
    network: Network,
    genesis: String,
    /// Where rollup 901 has the transaction, and rollup 902 has nothing.
    single: u64,
    both: BundleId,
    both_height: u64,
}

impl Scene {
    async fn new(directory: &std::path::Path) -> Self {
        let (l1, network) = opened(directory).await;
        let genesis = network.genesis_file().to_string_lossy().into_owned();
        let leg = |rollup, transaction: &[u8]| Leg {
            rollup: RollupId::new(rollup),
            transaction: transaction.to_vec(),
        };
        let (_, single) = ordered(&network, &[leg(901, TRANSACTION)]).await;
        let legs = [leg(902, b"the other leg"), leg(901, b"one leg")];
        let (both, both_height) = ordered(&network, &legs).await;
        let settled = |l1: &v1::L1Status| l1.settled_height >= both_height;
        network.wait_l1(0, "both have settled", settled).await;
        Self { l1, network, genesis, single, both, both_height }
    }

    /// The arguments that name what is to be proved: one of each kind.
    fn claims(&self) -> [Vec<String>; 4] {
        let place = |rollup: u64| format!("--height {} --rollup {rollup}", self.single);
        let raw = hex::encode(TRANSACTION);
        [
            format!("transaction {} --raw 0x{raw}", place(901)),
            format!("batch {}", place(901)),
            format!("atomic --bundle {}", self.both),
            format!("absent {}", place(902)),
        ]
        .map(|line| line.split(' ').map(str::to_owned).collect())
    }

    /// `conclave prove` of a claim, by these nodes.
    fn command<'a>(&'a self, claim: &'a [String], nodes: &'a [String]) -> Vec<&'a str> {
        let nodes = nodes.iter().flat_map(|node| ["--node", node]);
        let claim = claim.iter().map(String::as_str);
        ["prove"]
            .into_iter()
            .chain(claim)
            .chain(nodes)
            .chain(["--genesis", &self.genesis, "--timeout", "40"])
            .collect()
    }

    /// Proves a claim to L1; what the command prints.
    fn proved(&self, claim: &[String]) -> Value {
        self.l1.run(&self.command(claim, &self.network.endpoints[..1]))
    }

    /// What the command says of a claim that a liar serves a proof of.
    async fn refused(&self, claim: &[String], lie: Lie) -> String {
        let liar = [liar::serve(&self.network.endpoints[0], lie).await];
        self.l1.refusal(&self.command(claim, &liar))
    }
}

/// Orders a bundle; where it is.
async fn ordered(network: &Network, legs: &[Leg]) -> (BundleId, u64) {
    let wallet = network.client.wallet(payers().swap_remove(0));
    let id = wallet.submit(legs, &Terms::default()).await.expect("it is admitted").id;
    let status = network.client.wait(id, Level::Revealed, PATIENCE).await.expect("it is opened");
    (id, status.progress.place().expect("it has a place").height.as_u64())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_is_proved_to_the_command_and_to_l1_and_a_lie_is_to_neither() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = Scene::new(directory.path()).await;
    let [transaction, batch, atomic, absent] = scene.claims().map(|claim| scene.proved(&claim));

    let hash = keccak256(TRANSACTION).to_string();
    assert_eq!(transaction["transaction_hash"], json!(hash));
    assert_eq!((&transaction["height"], &transaction["item"]), (&json!(scene.single), &json!(0)));
    assert_eq!((&batch["transaction_hashes"], &batch["whole"]), (&json!([hash]), &json!(true)));
    assert_eq!(atomic["height"], json!(scene.both_height));
    let legs = atomic["legs"].as_array().expect("legs");
    let rollups: Vec<_> = legs.iter().map(|leg| &leg["rollup"]).collect();
    assert_eq!(rollups, [902, 901], "in the order of the bundle");
    assert_eq!(
        (&absent["before"]["leaf"]["rollup"], &absent["after"]),
        (&json!(901), &json!(null))
    );
    for proved in [&transaction, &batch, &atomic, &absent] {
        assert!(
            proved["certificate"]["power"].as_u64() >= proved["certificate"]["quorum"].as_u64()
        );
    }

    let inbox = Inbox::find(&scene, &transaction).await;
    inbox.refuses_what_is_changed(&transaction, &batch, &atomic, &absent).await;
    the_command_refuses_lies(&scene).await;
    people_and_contracts_are_told(&scene, &transaction).await;
}

/// What somebody changes about a call, and the error that it gets.
type Change<C> = (fn(&mut C), &'static str);

/// The inbox, as any contract may call it.
struct Inbox {
    endpoints: Endpoints,
    at: Address,
}

impl Inbox {
    async fn find(scene: &Scene, proved: &Value) -> Self {
        let urls = [scene.l1.url()];
        let connected = Endpoints::connect(&urls, None, Patience::default()).await;
        let endpoints = connected.expect("the L1 answers");
        let genesis = scene.network.client.network().genesis();
        let stake = Address::from(*genesis.l1_contract.as_bytes());
        let contracts = Contracts::find(&endpoints, stake).await.expect("the contracts");
        assert_eq!(proved["l1"]["inbox"], json!(contracts.inbox));
        Self { endpoints, at: contracts.inbox }
    }

    async fn refuses<C: SolCall + Clone>(&self, good: &C, table: Vec<Change<C>>) {
        self.endpoints.call(self.at, good).await.expect("what was proved is accepted");
        for (number, (change, error)) in table.into_iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            let refused: Result<_, L1Error> = self.endpoints.call(self.at, &bad).await;
            let refused = refused.err().unwrap_or_else(|| panic!("change {number} is accepted"));
            assert!(refused.is_refusal(error), "change {number}: {refused}");
        }
    }

    async fn refuses_what_is_changed(
        &self,
        transaction: &Value,
        batch: &Value,
        atomic: &Value,
        absent: &Value,
    ) {
        self.refuses::<proveTransactionCall>(
            &decoded(transaction),
            vec![
                (|call| call.proof.commitment.revealRoot = B256::ZERO, "NotSettled"),
                (|call| call.proof.commitment.rollupCount += 1, "NotSettled"),
                (|call| spoil_path(&mut call.proof), "NotSettled"),
                (|call| call.proof.under = u64::MAX, "NotPosted"),
                (|call| spoil_leaf(&mut call.batch), "NotInBlock"),
                (|call| call.batch.siblings.push(B256::ZERO), "NotInBlock"),
                (|call| call.item += 1, "TransactionNotInBatch"),
                (|call| call.transactionHash = B256::ZERO, "TransactionNotInBatch"),
                (|call| call.siblings.push(B256::ZERO), "TransactionNotInBatch"),
            ],
        )
        .await;
        self.refuses::<proveTransactionsCall>(
            &decoded(batch),
            vec![
                (|call| spoil_path(&mut call.proof), "NotSettled"),
                (|call| spoil_leaf(&mut call.batch), "NotInBlock"),
                (|call| call.range.first += 1, "TransactionNotInBatch"),
                (|call| call.range.hashes[0] = B256::ZERO, "TransactionNotInBatch"),
                (|call| call.range.hashes.clear(), "TransactionNotInBatch"),
                (|call| call.range.siblings.push(B256::ZERO), "TransactionNotInBatch"),
            ],
        )
        .await;
        self.refuses::<proveAtomicCall>(
            &decoded(atomic),
            vec![
                (|call| spoil_path(&mut call.proof), "NotSettled"),
                (|call| call.bundle = B256::ZERO, "LegNotInBatch"),
                (|call| drop((call.legs.pop(), call.legProofs.pop())), "LegNotInBatch"),
                (|call| call.legs.swap(0, 1), "LegOfAnotherRollup"),
                (|call| call.legs.clear(), "LegCount"),
                (|call| spoil_leg(&mut call.legProofs[0]), "NotInBlock"),
                (|call| call.legs[1].transactionHash = B256::ZERO, "LegNotInBatch"),
                (
                    |call| call.legProofs[1].transactionSiblings.push(B256::ZERO),
                    "TransactionNotInBatch",
                ),
                (|call| call.legProofs[1].atomicSiblings.push(B256::ZERO), "LegNotInBatch"),
            ],
        )
        .await;
        self.refuses::<proveAbsenceCall>(
            &decoded(absent),
            vec![
                (|call| spoil_path(&mut call.proof), "NotSettled"),
                (|call| call.rollup = 901, "NotAbsent"),
                (|call| call.absence.hasBefore = false, "NotAbsent"),
                (|call| call.absence.hasAfter = true, "NotInBlock"),
                (|call| spoil_leaf(&mut call.absence.before), "NotInBlock"),
            ],
        )
        .await;
    }
}

/// The call that the command has printed.
fn decoded<C: SolCall>(proved: &Value) -> C {
    let text = proved["l1"]["calldata"].as_str().expect("a call");
    C::abi_decode(&hex::decode(text).expect("hexadecimal")).expect("a call of that function")
}

fn spoil_path(proof: &mut HistoryProof) {
    proof.path[0] = B256::ZERO;
}

fn spoil_leaf(batch: &mut Inclusion) {
    batch.leaf.sequence += 1;
}

fn spoil_leg(leg: &mut LegProof) {
    spoil_leaf(&mut leg.batch);
}

fn spoil(row: &mut [u8]) {
    row[0] ^= 1;
}

/// What a node that lies about one thing gets, and that an honest one beside it is enough.
async fn the_command_refuses_lies(scene: &Scene) {
    let [transaction, batch, atomic, absent] = scene.claims();
    let forged_commitment: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetCertifiedCommitmentResponse>() {
            spoil(&mut answer.commitment.as_mut().expect("a commitment").reveal_root);
        }
    };
    let forged_certificate: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetCertifiedCommitmentResponse>() {
            let certificate = answer.certificate.as_mut().expect("a certificate");
            spoil(&mut certificate.commitment.as_mut().expect("a commitment").history_root);
        }
    };
    let other_history: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetCommitmentResponse>() {
            spoil(&mut answer.proof.as_mut().expect("a proof").path[0]);
        }
    };
    let other_transaction: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetTransactionProofResponse>() {
            answer.item += 1;
        }
    };
    let cut_batch: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetBatchProofResponse>() {
            spoil(&mut answer.transaction_hashes[0]);
        }
    };
    let cut_bundle: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetAtomicProofResponse>() {
            answer.legs.pop();
        }
    };
    let no_neighbour: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<v1::GetAbsenceProofResponse>() {
            answer.before = None;
        }
    };
    let not_covered = "the certificate covers the commitment";
    let table = [
        (&transaction, forged_commitment, not_covered),
        (&transaction, forged_certificate, "signature is not that of all the signers"),
        (&transaction, other_history, "NotSettled"),
        (&transaction, other_transaction, "is not item 1 of the batch of rollup 901"),
        (&batch, cut_batch, "is not item 0 of the batch of rollup 901"),
        (&atomic, cut_bundle, "is not that leg of the bundle"),
        (&absent, no_neighbour, "not shown that rollup 902 has no batch"),
    ];
    for (claim, lie, said) in table {
        let refusal = scene.refused(claim, lie).await;
        assert!(refusal.contains(said), "{claim:?}: {refusal}");
    }
    let liar = liar::serve(&scene.network.endpoints[0], no_neighbour).await;
    let nodes = [liar.clone(), scene.network.endpoints[1].clone()];
    let url = scene.l1.url();
    let asked = conclave(&[&scene.command(&absent, &nodes)[..], &["--l1", &url]].concat());
    assert!(asked.status.success(), "{}", complaint(&asked));
    assert!(complaint(&asked).contains(&format!("node {liar} proves nothing")));
}

/// The same proof in words, and as a call alone; without L1 as soon as it is certified.
async fn people_and_contracts_are_told(scene: &Scene, transaction: &Value) {
    let claim = &scene.claims()[0];
    let node = &scene.network.endpoints[2..3];
    let said = |more: &[&str]| {
        let run = conclave(&[&scene.command(claim, node)[..], more].concat());
        assert!(run.status.success(), "{}", complaint(&run));
        String::from_utf8(run.stdout).expect("text")
    };
    let words = said(&[]);
    let expected = format!(
        "proved       transaction {} is item 0 of 1 in batch #0 of rollup 901, at height {}",
        keccak256(TRANSACTION),
        scene.single
    );
    assert!(words.contains(&expected) && words.contains("not looked at: give --l1 URL"), "{words}");
    let url = scene.l1.url();
    assert!(said(&["--l1", &url]).contains("accepts it, under the posting of height"));
    // An anchor may have come meanwhile, and another posting be the one to prove under.
    until("the same call", PATIENCE, async || {
        let again = scene.proved(claim);
        let call = said(&["--l1", &url, "--calldata"]);
        (json!(call.trim_end()) == again["l1"]["calldata"]).then_some(())
    })
    .await;
    assert_eq!(
        transaction["l1"]["chain_id"],
        json!(scene.network.client.network().genesis().l1_chain_id)
    );

    let missing = ["transaction", "--height", "1", "--rollup", "901", "--item", "0"];
    let missing: Vec<String> = missing.map(str::to_owned).to_vec();
    let refusal = scene.l1.refusal(&scene.command(&missing, node));
    assert!(refusal.contains("rollup 901 has no batch at height 1"), "{refusal}");
    let early = ["absent", "--height", "1000000", "--rollup", "901", "--timeout", "0"];
    let early = early.map(str::to_owned);
    let nodes = node.iter().flat_map(|node| ["--node", node]);
    let early: Vec<_> = ["prove"].into_iter().chain(early.iter().map(String::as_str)).collect();
    let early: Vec<_> =
        early.into_iter().chain(nodes).chain(["--genesis", &scene.genesis]).collect();
    let refusal = scene.l1.refusal(&early);
    assert!(refusal.contains("height 1000000 is not revealed on this node"), "{refusal}");
    assert!(refusal.contains("gave up after 0 seconds; raise --timeout"), "{refusal}");
}
