//! Money out of the fee ledger: a payer takes its balance back, and fees reach those who earned them.

use std::path::Path;

use conclave_client::{Level, Payer, Terms};
use conclave_types::{Leg, RollupId};
use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        network::{Network, PATIENCE},
        wait::until,
    },
    relay::{OFTEN, opened_on},
};

/// An account that has ether on L1, and that the genesis grants nothing.
const PAYER: &str = "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";
/// Somebody who has nothing anywhere.
const RECIPIENT: &str = "0x00000000000000000000000000000000000ca11e";
const DEPOSIT_GWEI: u64 = 100_000_000;

fn number(done: &Value, name: &str) -> u64 {
    done[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {done}"))
}

fn words(done: &Value) -> Vec<&str> {
    let sent = done["transactions"].as_array().expect("a list");
    sent.iter().map(|sent| sent["what"].as_str().expect("a word")).collect()
}

/// A network that settles, and a payer in it that has deposited and then spent a little.
struct Scene {
    l1: L1,
    network: Network,
    payer: Payer,
    genesis: String,
    key: String,
}

impl Scene {
    async fn on(l1: L1, directory: &Path) -> Self {
        let (l1, network) = opened_on(directory, l1, 40, OFTEN).await;
        let payer = Payer::from_hex(PAYER).expect("a key");
        let genesis = network.genesis_file().to_string_lossy().into_owned();
        let key = l1.key_file("payer.key", PAYER);
        let scene = Self { l1, network, payer, genesis, key };
        scene.run(&["deposit", "--amount", "0.1"]);
        scene.balance(|gwei| gwei == DEPOSIT_GWEI).await;
        let leg = Leg { rollup: RollupId::new(901), transaction: b"paid by L1".to_vec() };
        let wallet = scene.network.client.wallet(scene.payer.clone());
        let id = wallet.submit(&[leg], &Terms::default()).await.expect("it can pay").id;
        let wait = scene.network.client.wait(id, Level::Revealed, PATIENCE);
        wait.await.expect("the bundle is opened");
        scene
    }

    /// Runs a command of the payer's.
    fn run(&self, command: &[&str]) -> Value {
        let with = ["--genesis", &self.genesis, "--account-key", &self.key];
        self.l1.run(&[command, &with[..]].concat())
    }

    fn refusal(&self, command: &[&str]) -> String {
        let with = ["--genesis", &self.genesis, "--account-key", &self.key];
        self.l1.refusal(&[command, &with[..]].concat())
    }

    /// The payer's balance, once it is what it should be.
    async fn balance(&self, accept: impl Fn(u64) -> bool) -> u64 {
        until("the payer's balance to be right", PATIENCE, async || {
            let account = self.network.client.account(self.payer.address(), 0).await.ok()?;
            Some(account.balance.as_u64()).filter(|gwei| accept(*gwei))
        })
        .await
    }

    fn ether_of(&self, address: &str) -> Value {
        self.l1.call("eth_getBalance", json!([address, "latest"]))
    }
}

/// A payer deposits, spends, withdraws and is paid (`conformance.rs`).
pub(crate) async fn paid_on(directory: &Path, l1: L1) {
    let scene = Scene::on(l1, directory).await;
    let node = scene.network.endpoints[0].clone();
    let left = scene.balance(|gwei| gwei < DEPOSIT_GWEI).await;

    let said = scene.refusal(&["withdraw", "--amount", "0.1", "--node", &node, "--claim"]);
    assert!(said.contains("can withdraw 0.09") && said.contains("not 0.1 ether"), "{said}");
    let none = scene.refusal(&["stake", "claim", "--earned", "9", "--node", &node]);
    assert!(none.contains("nothing to claim"), "{none}");

    let to = ["--recipient", RECIPIENT];
    let part = ["withdraw", "--amount", "0.04", "--node", &node, "--claim"];
    let done = scene.run(&[&part[..], &to[..]].concat());
    assert_eq!(words(&done), ["requested", "paid"]);
    assert_eq!((number(&done, "amount_gwei"), number(&done, "withdrawal")), (40_000_000, 0));
    assert_eq!(scene.ether_of(RECIPIENT), "0x8e1bc9bf040000", "0.04 ether");
    scene.balance(|gwei| gwei == left - 40_000_000).await;

    // Asked for without a node's help; anybody brings the proof, later, and once.
    let asked = scene.run(&[&["withdraw", "--all"], &to[..]].concat());
    assert_eq!(words(&asked), ["requested"]);
    let entry = number(&asked, "entry").to_string();
    let other = scene.l1.key(3);
    let claim = |key: &str| {
        let command = ["withdraw", "--entry", &entry, "--claim", "--node", &node];
        let with = ["--genesis", &scene.genesis, "--account-key", key];
        scene.l1.run(&[&command[..], &with[..]].concat())
    };
    let done = claim(&other);
    assert_eq!((words(&done), number(&done, "amount_gwei")), (vec!["paid"], left - 40_000_000));
    assert_eq!(scene.balance(|gwei| gwei == 0).await, 0);
    let again = claim(&other);
    assert_eq!((words(&again), &again["paid"]), (vec![], &json!("before")));
    let said = scene.refusal(&["withdraw", "--all", "--node", &node]);
    assert!(said.contains("can withdraw 0 ether, not anything"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_epoch_earned_reaches_the_stake_of_its_validators_and_the_pot() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let scene = Scene::on(l1, directory.path()).await;
    let left = scene.balance(|gwei| gwei < DEPOSIT_GWEI).await;
    let fees = DEPOSIT_GWEI - left;
    let epoch = scene.network.wait_status(0, "an answer", |_| true).await.epoch;
    let over = |status: &conclave_client::messages::GetStatusResponse| status.epoch > epoch;
    let height = scene.network.wait_status(0, "the epoch is over", over).await.decided_height;
    let settled = |l1: &conclave_client::messages::L1Status| l1.settled_height >= height;
    scene.network.wait_l1(0, "its end settles", settled).await;

    let node = &scene.network.endpoints[0];
    let mut shared = 0;
    for validator in ["1", "2", "3", "4"] {
        let bonded = || {
            let status = ["stake", "status", "--validator", validator];
            let of = ["--genesis", &scene.genesis];
            let standing = scene.l1.run(&[&status[..], &of[..]].concat());
            number(&standing, "bonded_gwei") + number(&standing, "rewards_gwei")
        };
        let before = bonded();
        let done = scene.run(&["stake", "claim", "--earned", validator, "--node", node]);
        let earned = number(&done, "amount_gwei");
        assert_eq!(bonded(), before + earned, "validator {validator}");
        shared += earned;
    }
    let pot = number(&scene.run(&["stake", "claim", "--pot", "--node", node]), "amount_gwei");
    assert_eq!(pot, fees / 5);
    assert!((fees - 4..=fees).contains(&(shared + pot)), "{shared} and {pot} of {fees}");
    let said = scene.refusal(&["stake", "claim", "--pot", "--node", node]);
    assert!(said.contains("nothing to claim"), "{said}");
}
