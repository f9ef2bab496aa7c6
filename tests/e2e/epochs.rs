//! Epochs on Ethereum: whom L1 elects is who serves, the key is handed on to them, and each epoch's end settles.

use std::path::Path;

use conclave_client::{
    Client,
    messages::{GetCertifiedCommitmentResponse, GetStatusResponse, L1Status},
};
use conclave_node::l1::{Contracts, Endpoints, Patience, election};
use conclave_types::{Epoch, Height};
use serde_json::{Value, json};

use crate::harness::{
    l1::L1,
    liar::{self, Lie},
    load::Load,
    network::{Network, PATIENCE},
    process::{complaint, conclave},
    wait::until,
};

const ALL: [usize; 4] = [0, 1, 2, 3];
const STAKE_GWEI: u64 = 32_000_000_000;

/// The default parameters, with epochs that are over soon.
fn short_epochs(directory: &Path) -> String {
    let net = directory.join("defaults");
    let made = conclave(&["genesis", "--out", &net.to_string_lossy(), "--rollup", "901"]);
    assert!(made.status.success(), "{}", complaint(&made));
    let genesis = std::fs::read(net.join("genesis.json")).expect("a genesis");
    let genesis: Value = serde_json::from_slice(&genesis).expect("a genesis");
    let mut params = genesis["params"].clone();
    params["sharing"]["complaint_heights"] = json!(4);
    params["sharing"]["epoch_heights"] = json!(16);
    let file = directory.join("params.json");
    std::fs::write(&file, params.to_string()).expect("parameters are written");
    file.to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn stake_that_moves_is_power_in_a_later_epoch_and_every_epochs_end_settles() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let contract = l1.deploy();
    let (url, params) = (l1.url(), short_epochs(directory.path()));
    let options = ["--l1", &url, "--l1-contract", &contract, "--params", &params];
    let network = Network::start_edited(&options, |index, config| {
        let relay = format!(
            "\n[l1.relay]\naccount_key = {:?}\nevery_heights = 20\nevery_seconds = 2\ntakeover_seconds = 2\n",
            l1.key(index)
        );
        config.replace("poll_ms = 4000", "poll_ms = 200") + &relay
    });
    let mut network = network.await;
    let genesis = network.genesis_file().to_string_lossy().into_owned();
    for index in ALL {
        let (keys, key) = (network.validator_dir(index), l1.key(index));
        let register = ["stake", "register", "--genesis", &genesis, "--stake", "32"];
        l1.run(
            &[&register[..], &["--keys", &keys.to_string_lossy(), "--account-key", &key]].concat(),
        );
    }
    l1.run(&["l1", "open", "--genesis", &genesis, "--account-key", &l1.key(0)]);

    let load = Load::start(&network.client);
    // Half as much again for the first validator, whose points of the key and votes grow with it.
    let on = ["--genesis", &genesis, "--account-key", &l1.key(3)];
    l1.run(&[&["stake", "delegate", "--validator", "1", "--amount", "16"], &on[..]].concat());

    let endpoints = Endpoints::connect(&[l1.url()], None, Patience::default()).await;
    let endpoints = endpoints.expect("an answer");
    let stake = contract.parse().expect("an address");
    let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
    // By then the committee of an epoch after the first is in office: elected, carried, and named by the one before.
    for epoch in 2..=3 {
        let began = |status: &GetStatusResponse| status.epoch >= epoch;
        for index in ALL {
            network.wait_status(index, &format!("epoch {epoch} begins"), began).await;
        }
        let last = network.height(0).await;
        let settled = |l1: &L1Status| l1.settled_height >= last;
        network.wait_l1(0, &format!("epoch {epoch} settles"), settled).await;
        let head = election::head(&endpoints, &contracts).await.expect("a head");
        assert!(u64::from(head.epoch) >= epoch, "{head:?}");
    }
    let serving =
        election::serving(&endpoints, &contracts, Epoch::new(3)).await.expect("a committee");
    let mut powers: Vec<u64> = serving.iter().map(|elected| elected.power).collect();
    powers.sort_unstable();
    assert_eq!(powers, [STAKE_GWEI, STAKE_GWEI, STAKE_GWEI, STAKE_GWEI * 3 / 2]);

    // Who comes now, and knows the network by its id, follows the committees to the one that decides: the key that it
    // seals to, its receipt and its block are all theirs.
    let id = network.client.network().id();
    let newcomer = Client::builder().endpoint(network.endpoints[1].clone()).pin(id).connect().await;
    let newcomer = newcomer.expect("a connection");
    let block = newcomer.block(Height::new(network.height(1).await)).await.expect("a block");
    assert!(block.decided.header.epoch >= Epoch::new(3));
    let decides = newcomer.network().committee_of(Epoch::new(3)).expect("who decides in epoch 3");
    assert_eq!(decides.total_power(), STAKE_GWEI * 9 / 2);
    newcomer.wait_for_key(PATIENCE).await.expect("a key");

    // Bundles were under way all the time, and are now.
    load.wait(5).await;
    what_a_later_committee_ordered_is_proved(&l1, &network).await;
    assert!(load.settle().await > 20);
    network.kill(0);
    let data = network.data_dir(0).to_string_lossy().into_owned();
    let verified = conclave(&["verify", "--data-dir", &data, "--genesis", &genesis]);
    assert!(verified.status.success(), "{}", complaint(&verified));
}

/// Whoever knows no more than the network's id is shown what a committee of a later epoch has certified, and L1 accepts
/// it; what a committee that has left says of it counts for nothing.
async fn what_a_later_committee_ordered_is_proved(l1: &L1, network: &Network) {
    let (id, url) = (network.client.network().id().to_string(), l1.url());
    let prove = |node: &str, height: &str| {
        let claim = ["prove", "batch", "--height", height, "--rollup", "901", "--timeout", "60"];
        conclave(
            &[&claim[..], &["--node", node, "--network", &id, "--l1", &url, "--json"]].concat(),
        )
    };
    let (height, proved) = until("a height with a batch to be proved", PATIENCE, async || {
        let height = network.height(1).await.to_string();
        let run = prove(&network.endpoints[1], &height);
        let told = || serde_json::from_slice::<Value>(&run.stdout).expect("one JSON object");
        run.status.success().then(|| (height, told()))
    })
    .await;
    let certificate = &proved["certificate"];
    assert!(certificate["epoch"].as_u64() >= Some(3), "{proved}");
    assert_eq!(certificate["total_power"], json!(STAKE_GWEI * 9 / 2), "{proved}");
    assert!(certificate["power"].as_u64() >= certificate["quorum"].as_u64(), "{proved}");
    assert!(proved["l1"]["under"].as_u64() >= proved["height"].as_u64(), "{proved}");

    let former: Lie = |answer| {
        if let Some(answer) = answer.downcast_mut::<GetCertifiedCommitmentResponse>() {
            let certificate = answer.certificate.as_mut().expect("a certificate");
            certificate.commitment.as_mut().expect("a commitment").epoch = 0;
        }
    };
    let liar = liar::serve(&network.endpoints[1], former).await;
    let refused = prove(&liar, &height);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = complaint(&refused);
    assert!(said.contains(&format!("node {liar} proves nothing")), "{said}");
}
