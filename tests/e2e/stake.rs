//! Operators, delegators, users and witnesses on Ethereum: the contracts as the commands deploy and call them.

use std::path::Path;

use alloy::primitives::Address;
use conclave_consensus::{Evidence, SignedVote};
use conclave_contracts::{
    ConclaveElection::{self, Candidate},
    ConclaveInbox,
    registration::ValidatorSecrets,
};
use conclave_node::{
    keys,
    l1::{
        Call, Contracts, Endpoints, Fees, Patience, Sender,
        evidence::{self, Exhibit, Filing, Offence},
        observe::Observer,
    },
};
use conclave_sequencer::DoubleAttestation;
use conclave_types::{
    BlockCommitment, BlockId, Deposit, Digest, Epoch, ForcedTransaction, Genesis, Gwei, Height,
    L1Content, L1Entry, L1Origin, RollupId, Round, SettlementCertificate, SignatureBytes,
    ValidatorIndex, VoteKind, WithdrawalRequest, digest::SigningDomain,
};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use crate::harness::{
    l1::L1,
    process::{complaint, conclave},
    transactions::DEV_KEYS,
};

/// Makes a network that settles on a deployment, and settlement keys for its validators.
fn genesis(root: &Path, l1: &L1, contract: &str) -> String {
    let net = root.join("net").to_string_lossy().into_owned();
    let made = conclave(&[
        "genesis",
        "--out",
        &net,
        "--base-port",
        "0",
        "--rollup",
        "901",
        "--l1",
        &l1.url(),
        "--l1-chain-id",
        "31337",
        "--l1-contract",
        contract,
    ]);
    assert!(made.status.success(), "{}", complaint(&made));
    net
}

fn number(done: &Value, name: &str) -> u64 {
    done[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {done}"))
}

/// What each transaction of a command cost, in gas.
fn gas(done: &Value) -> Vec<u64> {
    let transactions = done["transactions"].as_array().expect("a list");
    transactions.iter().map(|transaction| number(transaction, "gas_used")).collect()
}

/// What the contracts are known to cost: whole transactions, in gas. Proofs, keys and addresses are random, and a
/// zero byte of data is cheaper than another; that and no more may differ.
const KNOWN_GAS: [(&str, u64); 10] = [
    ("register", 346_800),
    ("prove", 248_000),
    ("enlist", 100_916),
    ("deposit", 39_426),
    ("delegate", 58_544),
    ("unbond", 155_962),
    ("claim", 46_179),
    ("force", 156_395),
    ("deposit for fees", 100_100),
    ("withdraw", 95_700),
];
const VARIATION_GAS: u64 = 4_000;

/// One operator's life on an L1, and a user's entries; what each step cost.
fn life(l1: &L1, root: &Path) -> Vec<(&'static str, u64)> {
    let contract = l1.deploy();
    let net = genesis(root, l1, &contract);
    let (operator, other) = (l1.key(1), l1.key(2));
    let genesis = format!("{net}/genesis.json");
    let on = |command: &[&str], key: &str| {
        l1.run(&[command, &["--genesis", &genesis, "--account-key", key]].concat())
    };
    let status = || l1.run(&["stake", "status", "--contract", &contract, "--validator", "1"]);
    let keys = format!("{net}/validator-0");
    let registered = on(&["stake", "register", "--keys", &keys, "--stake", "32"], &operator);
    assert_eq!(number(&registered, "validator"), 1);
    let [register, prove, enlist] = gas(&registered)[..] else { panic!("{registered}") };
    let standing = status();
    assert_eq!((&standing["proven"], &standing["enlisted"]), (&true.into(), &true.into()));
    assert_eq!(number(&standing, "elected_power"), 32_000_000_000);

    let one = ["--validator", "1"];
    let deposited = on(&[&["stake", "deposit", "--amount", "4.5"], &one[..]].concat(), &operator);
    let delegated = on(&[&["stake", "delegate", "--amount", "2"], &one[..]].concat(), &other);
    assert_eq!(number(&status(), "bonded_gwei"), 38_500_000_000);
    let asked = on(&[&["stake", "unbond", "--amount", "0.5"], &one[..]].concat(), &other);
    assert_eq!(number(&asked, "amount_gwei"), 500_000_000);
    let id = number(&asked, "unbonding").to_string();
    // No committee ever counted on it, so it is free at once.
    let claimed = on(&["stake", "claim", "--unbonding", &id], &operator);
    assert_eq!(number(&claimed, "amount_gwei"), 500_000_000);

    let rotated = on(
        &[&["stake", "rotate", "--keys", &format!("{net}/validator-1")], &one[..]].concat(),
        &operator,
    );
    assert_eq!(number(&rotated, "validator"), 1);
    assert_eq!(number(&on(&["l1", "register-rollup"], &operator), "rollup"), 901);
    let transaction = format!("0x{}", "02".repeat(120));
    let forced = on(&["force", "--rollup", "901", &transaction, "--wait-final"], &other);
    assert_eq!((number(&forced, "entry"), number(&forced, "gas")), (0, 21_000 + 16 * 120));
    assert_eq!(forced["transactions"][0]["final"], true);
    let paid = on(&["deposit", "--amount", "0.1"], &other);
    assert_eq!((number(&paid, "entry"), number(&paid, "amount_gwei")), (1, 100_000_000));
    let back = on(&["withdraw", "--amount", "0.05"], &other);
    assert_eq!((number(&back, "entry"), &back["payer"]), (2, &back["recipient"]));

    let left = on(&[&["stake", "exit"], &one[..]].concat(), &operator);
    assert_eq!(number(&left, "amount_gwei"), 36_500_000_000);
    let standing = status();
    assert_eq!(standing["exited"], true);
    assert_eq!(number(&standing, "elected_power"), 0);
    assert_eq!(number(&standing, "bonded_gwei"), 1_500_000_000, "the delegator's");
    let first = |done: &Value| gas(done)[0];
    vec![
        ("register", register),
        ("prove", prove),
        ("enlist", enlist),
        ("deposit", first(&deposited)),
        ("delegate", first(&delegated)),
        ("unbond", first(&asked)),
        ("claim", first(&claimed)),
        ("force", first(&forced)),
        ("deposit for fees", first(&paid)),
        ("withdraw", first(&back)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_life_costs_what_it_is_known_to_cost_and_the_same_on_every_l1() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut l1 = L1::start(directory.path()).await;
    let costs = life(&l1, directory.path());
    for ((step, found), (known, expected)) in costs.iter().zip(KNOWN_GAS) {
        assert_eq!(*step, known);
        let is_known = found.abs_diff(expected) < VARIATION_GAS;
        assert!(is_known, "{step} costs {found}, known is {expected}");
    }
    assert!(l1.is_alive());
    let beside = tempfile::tempdir().expect("a temporary directory");
    let anvil = L1::anvil(beside.path()).await;
    for ((step, here), (_, there)) in costs.iter().zip(life(&anvil, beside.path())) {
        assert!(here.abs_diff(there) < VARIATION_GAS, "{step} costs {here} here, {there} on anvil");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_contract_or_a_key_file_refuses_is_named_with_the_remedy() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let contract = l1.deploy();
    let net = genesis(directory.path(), &l1, &contract);
    let (operator, stranger) = (l1.key(1), l1.key(2));
    let keys = format!("{net}/validator-0");
    let register = ["stake", "register", "--contract", &contract, "--keys", &keys];
    let stake = |amount, key| [&register[..], &["--stake", amount, "--account-key", key]].concat();
    let said = l1.refusal(&stake("7.999999999", &operator));
    assert!(said.contains("StakeTooSmall { expected: 8000000000, found: 7999999999 }"), "{said}");
    l1.run(&stake("8", &operator));
    let said = l1.refusal(&stake("8", &operator));
    assert!(said.contains("KeyInUse { validator: 1 }: keys are never used twice"), "{said}");

    let exposed = l1.key_file("exposed.key", DEV_KEYS[3]);
    std::fs::set_permissions(&exposed, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("a mode");
    let empty = l1.key_file("empty.key", &"11".repeat(32));
    let exit = ["stake", "exit", "--contract", &contract, "--validator", "1", "--account-key"];
    let force = ["force", "--contract", &contract, "--rollup", "7", "0x01", "--account-key"];
    let on =
        |command: &[&'static str]| [command, &["--contract", &contract, "--account-key"]].concat();
    let table = [
        ([&exit[..], &[&stranger]].concat(), "NotOperator"),
        ([&exit[..], &[&exposed]].concat(), "chmod 600"),
        ([&exit[..], &[&operator, "--max-cost", "0.0000000001"]].concat(), "raise --max-cost"),
        ([&force[..], &[&operator]].concat(), "UnknownRollup { rollup: 7 }: check --rollup"),
        (
            ["deposit", "--contract", &contract, "--amount", "1", "--account-key", &empty].to_vec(),
            "send it ether",
        ),
        (
            ["stake", "status", "--contract", &contract, "--validator", "9"].to_vec(),
            "UnknownValidator { validator: 9 }",
        ),
        (
            [&on(&["stake", "unjail", "--validator", "1"])[..], &[&operator]].concat(),
            "NotJailed { validator: 1 }",
        ),
        ([&on(&["stake", "claim", "--rewards"])[..], &[&operator]].concat(), "NothingToClaim"),
        ([&on(&["stake", "claim", "--refunds"])[..], &[&operator]].concat(), "NothingToClaim"),
        (
            [
                "stake",
                "status",
                "--validator",
                "1",
                "--contract",
                "0x00000000000000000000000000000000000000aa",
            ]
            .to_vec(),
            "there is no contract at",
        ),
    ];
    for (command, words) in table {
        let said = l1.refusal(&command);
        assert!(said.contains(words), "{command:?}: {said}");
    }
}

/// Somebody who is paid.
const RECIPIENT: &str = "0x00000000000000000000000000000000000ca11e";

/// Observes all that is final.
async fn observe(observer: &mut Observer) -> Vec<L1Entry> {
    let mut entries = Vec::new();
    while let Some(block) = observer.next().await.expect("an L1 that tells the truth") {
        entries.extend(block.entries);
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_observed_once_it_is_final_as_the_contract_hashed_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let contract = l1.deploy();
    let key = l1.key(1);
    let on = ["--contract", &contract, "--account-key", &key];
    l1.run(&[&["l1", "register-rollup"], &on[..]].concat());
    l1.call("l1_pause", json!([true]));
    let genesis = l1.call("eth_getBlockByNumber", json!(["0x0", false]));
    let hash = genesis["hash"].as_str().and_then(|hash| hash.parse().ok()).expect("a hash");
    let urls = [l1.url()];
    let endpoints = Endpoints::connect(&urls, None, Patience::default()).await.expect("an answer");
    let stake = contract.parse().expect("an address");
    let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
    let origin = L1Origin { number: 0, hash };
    let mut observer = Observer::new(endpoints, contracts, origin, 0);
    l1.call("l1_pause", json!([false]));

    let forced = [&["force", "--rollup", "901", "0x0102", "--gas", "30000"], &on[..]].concat();
    let forced = l1.run(&forced);
    let paid = l1.run(&[&["deposit", "--amount", "0.1", "--wait-final"], &on[..]].concat());
    let back = ["withdraw", "--amount", "0.05", "--recipient", RECIPIENT, "--wait-final"];
    let back = l1.run(&[&back[..], &on[..]].concat());
    let entries = observe(&mut observer).await;
    let content = L1Content::Forced(ForcedTransaction {
        rollup: RollupId::new(901),
        gas_limit: 30_000,
        transaction: vec![1, 2],
    });
    let first = L1Entry { index: 0, l1_block: number(&forced, "l1_block"), content };
    let payer = paid["payer"].as_str().and_then(|payer| payer.parse().ok()).expect("an address");
    let content = L1Content::Deposit(Deposit { payer, amount: Gwei::new(100_000_000) });
    let second = L1Entry { index: 1, l1_block: number(&paid, "l1_block"), content };
    let recipient = RECIPIENT.parse().expect("an address");
    let request = WithdrawalRequest { payer, recipient, amount: Gwei::new(50_000_000) };
    let content = L1Content::Withdrawal(request);
    let third = L1Entry { index: 2, l1_block: number(&back, "l1_block"), content };
    assert_eq!(entries, [first, second, third]);

    // What is not final yet is not observed, and may go away.
    l1.call("l1_pause", json!([true]));
    observe(&mut observer).await;
    let (at, cursor) = observer.position();
    let head = l1.call("l1_info", json!([]))["headNumber"].as_u64().expect("a number");
    assert_eq!((at.number, cursor), (head - 2, 3));
    l1.call("l1_reorg", json!([{ "depth": 2, "mode": "drop" }]));
    assert_eq!(observe(&mut observer).await, []);
    assert_eq!(observer.position().0.number, head - 1, "it goes on along the new chain");
}

/// Puts the first validator into office, as a launcher does.
async fn open(l1: &L1, contract: &str, genesis: &Genesis, secrets: &ValidatorSecrets) {
    let urls = [l1.url()];
    let endpoints = Endpoints::connect(&urls, Some(31_337), Patience::default()).await;
    let endpoints = endpoints.expect("the L1 answers");
    let stake = contract.parse().expect("an address");
    let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
    let launcher = DEV_KEYS[0].parse().expect("a key");
    let sender = Sender::new(endpoints, launcher, Fees::default());
    let keys = secrets.keys();
    let point = keys.settlementKey;
    let keys = ConclaveElection::Keys {
        consensusKey: keys.consensusKey,
        settlementKey: ConclaveElection::G1Point {
            xHigh: point.xHigh,
            xLow: point.xLow,
            yHigh: point.yHigh,
            yLow: point.yLow,
        },
        networkKey: keys.networkKey,
    };
    let candidates = vec![Candidate { validator: 1, keys }];
    let elected = ConclaveElection::snapshotEpochCall { candidates };
    let elected = sender.send(Call::new(contracts.election, &elected)).await.expect("an election");
    let offered = elected.event::<ConclaveElection::CommitteeOffered>().expect("an offer");
    let opening = ConclaveInbox::openCall {
        id: (*genesis.network_id().as_bytes()).into(),
        committeeHash: offered.committeeHash,
        // The key of epoch 0 is made by then; this network's committee is of epoch 1, and nobody looks.
        dkgResult: [7; 32].into(),
        origin: genesis.l1_origin.number,
    };
    sender.send(Call::new(contracts.inbox, &opening)).await.expect("the network opens");
}

fn vote(secrets: &ValidatorSecrets, domain: &SigningDomain, block: u8) -> SignedVote {
    let mut vote = SignedVote {
        kind: VoteKind::Precommit,
        height: Height::new(7),
        round: Round::new(1),
        block: Some(BlockId::new([block; 32])),
        voter: ValidatorIndex::new(0),
        signature: SignatureBytes::new([0; 64]),
    };
    let digest = vote.digest(domain, Epoch::ZERO);
    vote.signature = SignatureBytes::new(secrets.consensus.sign(digest.as_bytes()).to_bytes());
    vote
}

/// The only member of the committee on L1 attests some commitment.
fn attestation(
    secrets: &ValidatorSecrets,
    domain: &SigningDomain,
    salt: u8,
) -> SettlementCertificate {
    let commitment = BlockCommitment {
        epoch: Epoch::ZERO,
        height: Height::new(9),
        block: BlockId::new([salt; 32]),
        history_root: Digest::ZERO,
        reveal_root: Digest::ZERO,
        rollup_count: 0,
        l1_origin: L1Origin { number: 1, hash: Digest::ZERO },
        forced_cursor: 0,
        withdrawals_root: Digest::ZERO,
        epoch_end: None,
    };
    let signature = secrets.settlement.sign(&domain.commitment(&commitment));
    let signers = vec![ValidatorIndex::new(0)];
    SettlementCertificate { commitment, signers, signature }
}

/// Announces evidence from the fourth account, and does not report it.
async fn announce(l1: &L1, contract: &str, evidence: &[u8], genesis: &Genesis) {
    let stake: Address = contract.parse().expect("an address");
    let endpoints = Endpoints::connect(&[l1.url()], None, Patience::default()).await;
    let endpoints = endpoints.expect("the L1 answers");
    let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
    let signer = DEV_KEYS[3].parse().expect("a well-known key");
    let announcer = Sender::new(endpoints, signer, Fees::default());
    let evidence = evidence::read(evidence, genesis).expect("it convicts");
    let mut filing = Filing::new(&announcer, &contracts);
    filing.announce(&evidence, genesis).await.expect("announced");
}

/// What each transaction of a command was for.
fn what_was_sent(done: &Value) -> Vec<&str> {
    let transactions = done["transactions"].as_array().expect("a list");
    transactions.iter().map(|transaction| transaction["what"].as_str().expect("a word")).collect()
}

/// Evidence of epoch 0, as a file holds it.
fn exhibit(genesis: &Genesis, offence: Offence) -> Vec<u8> {
    let committee = (0..).map(ValidatorIndex::new).zip(genesis.members.clone()).collect();
    let exhibit = Exhibit { epoch: Epoch::ZERO, committee, offence };
    evidence::file(&exhibit)
}

fn borrowed(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// Evidence of a double vote takes the stake of who signed it (`conformance.rs`).
pub(crate) async fn convicted_on(directory: &Path, l1: L1) {
    let contract = l1.deploy();
    let net = genesis(directory, &l1, &contract);
    let file = format!("{net}/genesis.json");
    let genesis: Genesis =
        serde_json::from_slice(&std::fs::read(&file).expect("a genesis")).expect("a genesis");
    let keys_of = Path::new(&net).join("validator-0");
    let secrets = ValidatorSecrets {
        consensus: keys::read_signing_key(&keys_of.join("consensus.key")).expect("a key"),
        settlement: keys::read_settlement_key(&keys_of.join("settlement.key")).expect("a key"),
        network: genesis.members[0].network_key,
    };
    let (operator, witness) = (l1.key(1), l1.key(2));
    let from = keys_of.to_string_lossy();
    let register = ["stake", "register", "--genesis", &file, "--keys", &from, "--stake", "32"];
    l1.run(&[&register[..], &["--account-key", &operator]].concat());
    open(&l1, &contract, &genesis, &secrets).await;

    let domain = SigningDomain::of(&genesis);
    let pair = Evidence::Votes(vote(&secrets, &domain, 0xb1), vote(&secrets, &domain, 0xb2));
    let honest = vote(&secrets, &domain, 0xb1);
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("evidence is written");
        path.to_string_lossy().into_owned()
    };
    let encode = |offence| exhibit(&genesis, offence);
    let encoded = encode(Offence::Equivocation(Box::new(pair)));
    let good = write("good", &encoded);
    let once = encode(Offence::Equivocation(Box::new(Evidence::Votes(honest.clone(), honest))));
    let attested = |salt| attestation(&secrets, &domain, salt);
    let both = DoubleAttestation { first: attested(0xc1), second: attested(0xc2), held: None };
    let both = write("both", &encode(Offence::DoubleAttestation(Box::new(both))));
    let torn = encoded.len().saturating_sub(1);
    let (once, torn) = (write("once", &once), write("torn", &encoded[..torn]));
    let submit = |file_: &str| {
        ["evidence", "submit", "--genesis", &file, "--account-key", &witness, file_]
            .map(str::to_owned)
            .to_vec()
    };
    let refused = |file: &str| l1.refusal(&borrowed(&submit(file)));
    assert!(refused(&once).contains("does not convict validator 0"));
    assert!(refused(&torn).contains("no evidence as"));

    // Somebody announces it and then takes his time; whoever reports it meanwhile does not keep the reward.
    let slow = l1.key(3);
    announce(&l1, &contract, &encoded, &genesis).await;

    let report = l1.run(&borrowed(&submit(&good)));
    assert_eq!(what_was_sent(&report), ["announced", "reported"]);
    assert_eq!(number(&report, "validator"), 1);
    assert_eq!(number(&report, "seized_gwei"), 32_000_000_000);
    let command = ["evidence", "submit", "--genesis", &file, "--account-key", &slow, &good];
    let taken = l1.run(&command);
    assert_eq!(what_was_sent(&taken), ["taken over"]);
    assert_eq!(taken["taken_over"], json!([report["offence"]]));
    assert!(l1.refusal(&command).contains("AlreadyReported"), "no older seal than its own");
    let standing = l1.run(&["stake", "status", "--genesis", &file, "--validator", "1"]);
    assert_eq!((&standing["accused"], &standing["tombstoned"]), (&true.into(), &true.into()));
    assert_eq!(number(&standing, "escrow_gwei"), 32_000_000_000);
    assert!(refused(&good).contains("AlreadyReported"));
    // Another offence of the same validator, answered for by the same stake.
    let report = l1.run(&borrowed(&submit(&both)));
    assert_eq!(number(&report, "validator"), 1);
    assert!(refused(&both).contains("AlreadyReported"));
    let offence = report["offence"].as_str().expect("an offence");
    let resolve = ["evidence", "resolve", "--genesis", &file, "--account-key", &witness, offence];
    assert!(l1.refusal(&resolve).contains("TooEarly"), "whoever is accused may answer first");
    let exit =
        ["stake", "exit", "--genesis", &file, "--validator", "1", "--account-key", &operator];
    let said = l1.refusal(&exit);
    assert!(said.contains("StakeSeized { validator: 1 }: wait until"), "{said}");
}
