//! A network on L1 without nodes: the test has the keys of all members, and posts what it has them sign. What takes nodes
//! hours, such as a thousand heights or the ends of several epochs, takes it a transaction.

use std::{collections::BTreeMap, path::Path};

use alloy::primitives::{B256, U256};
use conclave_contracts::{
    ConclaveElection, ConclaveInbox, ForcedInclusion, posting::posting,
    registration::ValidatorSecrets,
};
use conclave_node::{
    keys,
    l1::{Call, Contracts, Endpoints, Fees, Patience, Sender, Sent, election},
};
use conclave_types::{
    BlockCommitment, BlockId, Committee, Digest, Epoch, EpochEnd, Genesis, Height, L1Origin,
    SettlementCertificate, ValidatorIndex, add_signatures,
    digest::SigningDomain,
    mmr::{Peaks, Subtree, full_subtrees, prove_inclusion},
};
use serde_json::json;

use super::{
    l1::L1,
    network::PATIENCE,
    process::{complaint, conclave},
    transactions::DEV_KEYS,
    wait::until,
};

/// Such a network. The first account launches and posts; account i runs validator i + 1.
pub(crate) struct Staged {
    pub(crate) l1: L1,
    pub(crate) genesis: Genesis,
    /// Its file.
    pub(crate) file: String,
    pub(crate) secrets: Vec<ValidatorSecrets>,
    pub(crate) sender: Sender,
    pub(crate) contracts: Contracts,
    /// Who is in office, and in which epoch.
    office: (Epoch, Committee),
    settled: u64,
    history: Peaks,
    subtrees: BTreeMap<Subtree, Digest>,
}

impl Staged {
    /// Deploys, registers four validators with 32 ether each, and opens the network.
    pub(crate) async fn open(directory: &Path, l1: L1) -> Self {
        let contract = l1.deploy();
        let net = directory.join("net");
        let (out, url) = (net.to_string_lossy(), l1.url());
        let make = ["genesis", "--out", &out, "--base-port", "0", "--rollup", "901"];
        let on = ["--l1", &url, "--l1-chain-id", "31337", "--l1-contract", &contract];
        let made = conclave(&[&make[..], &on[..]].concat());
        assert!(made.status.success(), "{}", complaint(&made));
        let file = net.join("genesis.json").to_string_lossy().into_owned();
        let text = std::fs::read(&file).expect("a genesis");
        let genesis: Genesis = serde_json::from_slice(&text).expect("a genesis");
        let mut secrets = Vec::new();
        for (index, member) in genesis.members.iter().enumerate() {
            let keys_of = net.join(format!("validator-{index}"));
            let (from, key) = (keys_of.to_string_lossy(), l1.key(index));
            let register = ["stake", "register", "--genesis", &file, "--stake", "32"];
            let with = ["--keys", &from, "--account-key", &key];
            let done = l1.run(&[&register[..], &with[..]].concat());
            assert_eq!(done["validator"], json!(index + 1), "in the order of the genesis");
            secrets.push(ValidatorSecrets {
                consensus: keys::read_signing_key(&keys_of.join("consensus.key")).expect("a key"),
                settlement: keys::read_settlement_key(&keys_of.join("settlement.key"))
                    .expect("a key"),
                network: member.network_key,
            });
        }
        l1.run(&["l1", "open", "--genesis", &file, "--account-key", &l1.key(0)]);
        let endpoints = Endpoints::connect(&[l1.url()], None, Patience::default()).await;
        let endpoints = endpoints.expect("the L1 answers");
        let stake = contract.parse().expect("an address");
        let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
        let launcher = DEV_KEYS[0].parse().expect("a well-known key");
        let sender = Sender::new(endpoints, launcher, Fees::default());
        let office = Committee::new(genesis.members.clone()).expect("a committee");
        Self {
            l1,
            genesis,
            file,
            secrets,
            sender,
            contracts,
            office: (Epoch::ZERO, office),
            settled: 0,
            history: Peaks::default(),
            subtrees: BTreeMap::new(),
        }
    }

    /// What is signed is signed in it.
    pub(crate) fn domain(&self) -> SigningDomain {
        SigningDomain::of(&self.genesis)
    }

    /// The epoch in office.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.office.0
    }

    /// The committee in office.
    pub(crate) const fn office(&self) -> &Committee {
        &self.office.1
    }

    /// The chain's commitment of a height above what has settled; what is between them is made up.
    pub(crate) async fn commitment(&mut self, height: u64) -> BlockCommitment {
        assert!(height > self.settled, "height {height} has settled");
        for between in self.history.count() + 1..height {
            let mut digest = [0xe1; 32];
            digest[..8].copy_from_slice(&between.to_be_bytes());
            self.append(&Digest::new(digest));
        }
        let newest = self.l1.call("eth_blockNumber", json!([]));
        let newest: U256 = serde_json::from_value(newest).expect("a number");
        // Whoever estimates gas may do so as if in the newest block, which must be behind the origin.
        let number = newest.to::<u64>() - 1;
        let origin = self.l1.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
        let hash: B256 = serde_json::from_value(origin["hash"].clone()).expect("a hash");
        let entries = ForcedInclusion::entriesUpToCall { number };
        let cursor = self.sender.endpoints().call(self.contracts.forced, &entries).await;
        BlockCommitment {
            epoch: self.office.0,
            height: Height::new(height),
            block: BlockId::new([0xb1; 32]),
            history_root: self.history.root(),
            reveal_root: Digest::ZERO,
            rollup_count: 0,
            l1_origin: L1Origin { number, hash: Digest::new(hash.0) },
            forced_cursor: cursor.expect("the queue counts its entries"),
            withdrawals_root: Digest::ZERO,
            epoch_end: None,
        }
    }

    /// A commitment signed by some of the committee in office.
    pub(crate) fn certify(
        &self,
        commitment: BlockCommitment,
        signers: &[ValidatorIndex],
    ) -> SettlementCertificate {
        let digest = self.domain().commitment(&commitment);
        let key = |index: &ValidatorIndex| &self.secrets[usize::from(index.as_u16())].settlement;
        let signatures: Vec<_> = signers.iter().map(|index| key(index).sign(&digest)).collect();
        let signature = add_signatures(&signatures).expect("points");
        SettlementCertificate { commitment, signers: signers.to_vec(), signature }
    }

    /// Has the whole committee in office certify a commitment, and posts it, in one transaction.
    pub(crate) async fn settle(&mut self, commitment: BlockCommitment) -> Sent {
        let (epoch, committee) = &self.office;
        let everyone: Vec<_> = committee.iter().map(|(index, _)| index).collect();
        let certificate = self.certify(commitment, &everyone);
        let height = certificate.commitment.height.as_u64();
        let before = height - 1;
        let roots = |from: u64, to: u64| -> Vec<Digest> {
            let subtrees = full_subtrees(from, to);
            subtrees.iter().map(|subtree| self.subtrees[subtree]).collect()
        };
        let (peaks, added) = (roots(0, self.settled), roots(self.settled, before));
        let posting = posting(&certificate, (&peaks, &added), committee).expect("they signed");
        let call = ConclaveInbox::commitCall { posting };
        let sent = self.sender.send(Call::new(self.contracts.inbox, &call)).await;
        let sent = sent.expect("L1 believes a quorum");
        self.settled = height;
        if certificate.commitment.epoch_end.is_some() {
            self.office.0 = epoch.next();
        }
        let digest = self.domain().commitment(&certificate.commitment);
        self.append(&digest);
        sent
    }

    /// The digest that the history has at a height, and its path under the newest posting.
    pub(crate) fn path(&self, height: u64) -> Vec<Digest> {
        let subtree = |subtree| self.subtrees.get(&subtree).copied();
        prove_inclusion(self.settled, height - 1, subtree).expect("it has settled")
    }

    /// Has an election held, and offers whom it chooses for the next epoch; by which digest.
    pub(crate) async fn elect(&self) -> Digest {
        let offer = election::offer(&self.contracts, &self.genesis.members);
        let sent = self.sender.send(offer).await.expect("an election");
        let offered = sent.event::<ConclaveElection::CommitteeOffered>().expect("an offer");
        Digest::new(offered.committeeHash.0)
    }

    /// Settles the end of the epoch, which puts those members of the genesis into office whom `next` is the digest of.
    pub(crate) async fn end_epoch(&mut self, next: Digest, members: &[usize]) {
        let mut end = self.commitment(self.settled + 1).await;
        let dkg_result = Digest::new([0xd6; 32]);
        end.epoch_end = Some(EpochEnd { next_committee: next, dkg_result });
        self.settle(end).await;
        let all = self
            .genesis
            .members
            .clone()
            .into_iter()
            .zip(0..)
            .map(|(member, index)| (ValidatorIndex::new(index), member));
        let seated = all.filter(|(index, _)| members.contains(&usize::from(index.as_u16())));
        self.office.1 = Committee::seated(seated).expect("a committee");
    }

    /// Runs a command of the account with that number.
    pub(crate) fn run(&self, command: &[&str], account: usize) -> serde_json::Value {
        let key = self.l1.key(account);
        self.l1.run(&[command, &["--genesis", &self.file, "--account-key", &key]].concat())
    }

    /// Runs a command of the account with that number, which must fail; what it says.
    pub(crate) fn refusal(&self, command: &[&str], account: usize) -> String {
        let key = self.l1.key(account);
        self.l1.refusal(&[command, &["--genesis", &self.file, "--account-key", &key]].concat())
    }

    /// What L1 says of a validator.
    pub(crate) fn standing(&self, validator: u32) -> serde_json::Value {
        let validator = validator.to_string();
        self.l1.run(&["stake", "status", "--genesis", &self.file, "--validator", &validator])
    }

    /// Lets time pass on L1.
    pub(crate) async fn advance(&self, seconds: u64) {
        let before = self.time();
        self.l1.advance(seconds);
        until("the clock of L1 to be put forward", PATIENCE, async || {
            (self.time() >= before + seconds).then_some(())
        })
        .await;
    }

    fn time(&self) -> u64 {
        let newest = self.l1.call("eth_getBlockByNumber", json!(["latest", false]));
        let time: U256 = serde_json::from_value(newest["timestamp"].clone()).expect("a time");
        time.to()
    }

    fn append(&mut self, digest: &Digest) {
        self.subtrees.extend(self.history.append(digest));
    }
}
