//! Nothing settles, so somebody who is no validator has rollups leave, and has them come back when it does again.

use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        network::{Network, PATIENCE},
        wait::until,
    },
    relay::{OFTEN, epochs_of, opened_at},
};

/// An account that has ether on L1 and is no validator's.
const ANYBODY: &str = "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";
/// More L1 blocks than it takes to set a network up.
const DELAY: u64 = 120;

/// Somebody who looks at L1 and waits.
struct Anybody<'a> {
    l1: &'a L1,
    genesis: String,
    key: String,
}

impl Anybody<'_> {
    fn of<'a>(l1: &'a L1, network: &Network) -> Anybody<'a> {
        let genesis = network.genesis_file().to_string_lossy().into_owned();
        Anybody { l1, genesis, key: l1.key_file("anybody.key", ANYBODY) }
    }

    fn status(&self) -> Value {
        self.l1.run(&["escape", "status", "--genesis", &self.genesis])
    }

    fn does(&self, what: &str) -> Value {
        let with = ["--genesis", &self.genesis, "--account-key", &self.key];
        self.l1.run(&[&["escape", what], &with[..]].concat())
    }

    /// It is told why not, for all of these words, and pays nothing.
    fn may_not(&self, what: &str, words: &[&str]) {
        let sent = self.sent();
        let with = ["--genesis", &self.genesis, "--account-key", &self.key];
        let said = self.l1.refusal(&[&["escape", what], &with[..]].concat());
        for word in words {
            assert!(said.contains(word), "{what}: {said}");
        }
        assert_eq!(self.sent(), sent, "{what}: something was sent");
    }

    /// How many transactions it has sent.
    fn sent(&self) -> Value {
        let address = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65";
        self.l1.call("eth_getTransactionCount", json!([address, "latest"]))
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_for_what_and_has_rollups_leave_and_come_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let contract = l1.deploy_with(&["--escape-delay", &DELAY.to_string()]);
    let endpoints = [l1.url()];
    let params = epochs_of(40);
    let (l1, mut network) =
        opened_at(directory.path(), (l1, &contract), &endpoints, &params, OFTEN).await;
    network.wait_l1(1, "something settles", |l1| l1.settled_height > 0).await;
    let anybody = Anybody::of(&l1, &network);
    let status = anybody.status();
    assert_eq!((&status["stage"], &status["can_latch"]), (&json!("settling"), &json!(false)));
    assert_eq!(number(&status, "escape_delay_blocks"), DELAY);
    let due = number(&status, "settled_origin") + DELAY + 1;
    assert_eq!(number(&status, "latch_from_block"), due);
    anybody.may_not("latch", &["nothing is overdue", "can be latched from L1 block"]);
    anybody.may_not("resume", &["no escape to return from"]);

    for index in [2, 3] {
        network.kill(index);
    }
    l1.call("l1_mine", json!([DELAY + 10]));
    let status = anybody.status();
    assert_eq!((&status["stage"], &status["can_latch"]), (&json!("overdue"), &json!(true)));
    assert!(number(&status, "latch_from_block") <= number(&status, "l1_block"), "{status}");
    assert!(number(&status, "latch_from_time") <= number(&status, "l1_time"), "{status}");
    anybody.may_not("resume", &["conclave escape latch"]);
    let latched = anybody.does("latch");
    assert_eq!(latched["latched_at"], status["latch_from_block"]);
    assert_eq!(latched["height"], status["settled_height"]);
    let status = anybody.status();
    assert_eq!((&status["stage"], &status["escapes"]), (&json!("away"), &json!(1)));
    assert_eq!(status["latched_at"], latched["latched_at"]);
    anybody.may_not("latch", &["latched since L1 block", "conclave escape resume"]);
    anybody.may_not("resume", &["or later has: wait for that"]);

    for index in [2, 3] {
        network.launch(index);
    }
    until("what has settled is new enough", PATIENCE, async || {
        (anybody.status()["can_resume"] == json!(true)).then_some(())
    })
    .await;
    let resumed = anybody.does("resume");
    assert!(number(&resumed, "settled_height") > number(&latched, "height"), "{resumed}");
    let status = anybody.status();
    assert_eq!(
        (&status["stage"], &status["resumed_at"]),
        (&json!("settling"), &resumed["resumed_at"])
    );
    anybody.may_not("resume", &["no escape to return from"]);
}
