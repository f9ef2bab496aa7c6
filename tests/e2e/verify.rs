//! `conclave verify`: what was tampered with is found, by its height; what cannot be judged is not judged.

use std::{fs, path::Path};

use conclave_node::store::{RocksStore, SignerState};
use conclave_sequencer::{
    Store as _, Table, Write,
    archive::{StoredBlock, StoredReveal},
};
use conclave_types::{BundleId, EncryptedBundle, NetworkId, RevealedBlock};
use serde_json::Value;

use crate::harness::{
    load::Load,
    network::Network,
    oracle,
    process::{complaint, conclave},
};

/// An archive to tamper with, and a height in it that holds bundles.
struct Archive {
    store: RocksStore,
    height: u64,
}

impl Archive {
    fn open(data: &Path, network: &NetworkId, height: u64) -> Self {
        let signer =
            SignerState::open(&data.join("signer.state"), network).expect("a signer state");
        let store = RocksStore::open(&data.join("db"), signer, network).expect("a database");
        Self { store, height }
    }

    fn key(&self) -> Vec<u8> {
        self.height.to_be_bytes().to_vec()
    }

    fn read<T: borsh::BorshDeserialize>(&self, table: Table, key: &[u8]) -> T {
        let value = self.store.get(table, key).expect("a table reads").expect("a value is there");
        borsh::from_slice(&value).expect("a value decodes")
    }

    fn change<T>(&mut self, table: Table, key: Vec<u8>, change: impl FnOnce(&mut T))
    where
        T: borsh::BorshDeserialize + borsh::BorshSerialize,
    {
        let mut value: T = self.read(table, &key);
        change(&mut value);
        let value = borsh::to_vec(&value).expect("writes");
        self.commit(Write::Put { table, key, value });
    }

    fn change_block(&mut self, change: impl FnOnce(&mut StoredBlock)) {
        self.change(Table::Blocks, self.key(), change);
    }

    fn delete(&mut self, table: Table) {
        let key = self.key();
        self.commit(Write::Delete { table, key });
    }

    fn commit(&mut self, write: Write) {
        self.store.commit(&[write]).expect("a database can be tampered with");
    }

    fn first_bundle(&self) -> BundleId {
        let stored: StoredBlock = self.read(Table::Blocks, &self.key());
        stored.block.body.bundles[0]
    }
}

type Tampering = fn(&mut Archive);

/// What a forger, or a bad disk behind a good checksum, might do.
const TAMPERINGS: [(&str, Tampering); 11] = [
    ("a byte of a bundle's body", |archive| {
        let key = archive.first_bundle().as_bytes().to_vec();
        archive.change(Table::Bundles, key, |bundle: &mut EncryptedBundle| bundle.body[7] ^= 1);
    }),
    ("a bundle that is gone", |archive| {
        let key = archive.first_bundle().as_bytes().to_vec();
        archive.commit(Write::Delete { table: Table::Bundles, key });
    }),
    ("the block's list of bundles", |archive| {
        archive.change_block(|stored| stored.block.body.bundles[0] = BundleId::new([7; 32]));
    }),
    ("the block's time", |archive| {
        archive.change_block(|stored| {
            let later = stored.block.header.time.as_micros() + 1;
            stored.block.header.time = conclave_types::Time::from_micros(later);
        });
    }),
    ("a bit of a signature", |archive| {
        archive.change_block(|stored| {
            let (signer, signature) = stored.certificate.signatures[0];
            let mut bytes = *signature.as_bytes();
            bytes[9] ^= 1;
            let forged = conclave_types::SignatureBytes::new(bytes);
            stored.certificate.signatures[0] = (signer, forged);
        });
    }),
    ("a certificate of another height", |archive| {
        let before: StoredBlock = archive.read(Table::Blocks, &(archive.height - 1).to_be_bytes());
        archive.change_block(|stored| stored.certificate = before.certificate);
    }),
    ("a certificate without a quorum", |archive| {
        archive.change_block(|stored| stored.certificate.signatures.truncate(2));
    }),
    ("a height that is missing", |archive| archive.delete(Table::Blocks)),
    ("an opening of something else", |archive| {
        let key = archive.key();
        archive.change(Table::Reveals, key, |reveal: &mut StoredReveal| {
            reveal.openings[1] = reveal.openings[0];
        });
    }),
    ("a reveal that is missing", |archive| archive.delete(Table::Reveals)),
    ("what was revealed", |archive| {
        let key = archive.key();
        archive.change(Table::Revealed, key, |block: &mut RevealedBlock| {
            block.bundles[0].payer = conclave_types::PayerAddress::ZERO;
        });
    }),
];

/// What `conclave verify --json` says, and its exit code.
fn verify(data: &Path, genesis: &Path, from: u64) -> (Option<i32>, Value, String) {
    let from = from.to_string();
    let (data, genesis) = (data.to_string_lossy(), genesis.to_string_lossy());
    let arguments = ["verify", "--data-dir", &data, "--genesis", &genesis, "--from", &from];
    let found = conclave(&[&arguments[..], &["--json"]].concat());
    let report = serde_json::from_slice(&found.stdout).unwrap_or(Value::Null);
    (found.status.code(), report, complaint(&found))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory lists") {
        let entry = entry.expect("an entry reads");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file copies");
        }
    }
}

/// A height with bundles that validator 0 has revealed, and not the last.
async fn height_with_bundles(network: &Network) -> u64 {
    let places = oracle::check(network).await;
    let mut heights: Vec<_> = places.into_values().filter(|height| *height > 1).collect();
    heights.sort_unstable();
    heights[heights.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_archive_is_found_out_by_its_height() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    let start = network.height(0).await;
    network.wait_height(0, start + 6).await;
    load.stop().await;
    oracle::drained(&network).await;
    let height = height_with_bundles(&network).await;
    network.kill(0);
    let (data, genesis) = (network.data_dir(0), network.genesis_file());
    let id = network.client.network().id();
    let (code, report, said) = verify(&data, &genesis, 1);
    assert_eq!((code, &report["valid"]), (Some(0), &Value::Bool(true)), "{report} {said}");
    assert_eq!(report["used_by"], Value::Null, "{report}");
    for (number, (what, tamper)) in TAMPERINGS.into_iter().enumerate() {
        let copied = network.directory().join(format!("tampered-{number}"));
        copy(&data, &copied);
        let mut archive = Archive::open(&copied, &id, height);
        tamper(&mut archive);
        drop(archive);
        let (code, report, said) = verify(&copied, &genesis, height);
        assert_eq!(code, Some(1), "{what}: {report} {said}");
        assert_eq!(report["valid"], false, "{what}: {report}");
        assert_eq!(report["fault"]["height"], height, "{what}: {report}");
        let arguments = ["verify", "--data-dir", &copied.to_string_lossy(), "--genesis"];
        let told = conclave(&[&arguments[..], &[&genesis.to_string_lossy()]].concat());
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.starts_with(&format!("NOT VALID at height {height}: ")), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_in_use_or_out_of_reach_is_never_called_invalid() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    let start = network.height(0).await;
    network.wait_height(0, start + 6).await;
    let (data, genesis) = (network.data_dir(0), network.genesis_file());
    let (code, report, said) = verify(&data, &genesis, 1);
    assert!(code == Some(0) || code == Some(2), "{report} {said}");
    assert_ne!(report["valid"], false, "{report}");
    let node = network.process(0).id();
    assert!(said.contains(&format!("process {node} is running on")), "{said}");
    load.stop().await;
    network.kill(0);

    let (code, report, said) = verify(&data, &genesis, u64::MAX);
    assert_eq!((code, report), (Some(2), Value::Null), "{said}");
    assert!(said.contains("is above the newest decided height"), "{said}");
    let (code, _, said) = verify(&data.join("elsewhere"), &genesis, 1);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no database in"), "{said}");

    // Bytes under the database's own checksums: nothing is known of what they were.
    for entry in fs::read_dir(data.join("db")).expect("a database lists").flatten() {
        if entry.path().extension().is_some_and(|end| end == "log" || end == "sst") {
            let mut bytes = fs::read(entry.path()).expect("a file of the database");
            bytes.iter_mut().skip(64).step_by(512).for_each(|byte| *byte ^= 0x5a);
            fs::write(entry.path(), bytes).expect("a file can be damaged");
        }
    }
    let (code, report, said) = verify(&data, &genesis, 1);
    assert_eq!(code, Some(2), "{report} {said}");
}
