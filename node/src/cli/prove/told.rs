//! What was proved, for people, for programs and for contracts.

use std::process::ExitCode;

use alloy::primitives::{Address, Bytes};
use anyhow::Context as _;
use conclave_client::Network;
use conclave_derivation::{
    AbsenceProof, AtomicProof, BatchProof, NamespaceProof, TransactionProof,
};
use conclave_node::l1::proofs::Statement;
use conclave_types::{
    BlockCommitment, Digest, SettlementCertificate,
    digest::SigningDomain,
    wire::{CertifiedCommitment, HistoryProof},
};
use serde_json::{Map, Value, json};

use crate::cli::print;

/// What the inbox was shown.
pub(super) struct OnL1 {
    pub(super) chain_id: u64,
    pub(super) inbox: Address,
    pub(super) history: HistoryProof,
    pub(super) calldata: Bytes,
}

/// The voting power behind a certificate.
struct Power {
    signed: u64,
    quorum: u64,
    total: u64,
}

/// What was proved.
pub(super) struct Told {
    network: Network,
    digest: Digest,
    power: Power,
    certified: CertifiedCommitment,
    statement: Statement,
    on_l1: Option<OnL1>,
}

impl Told {
    /// What `network` has checked.
    pub(super) fn new(
        network: &Network,
        certified: CertifiedCommitment,
        statement: Statement,
        on_l1: Option<OnL1>,
    ) -> anyhow::Result<Self> {
        let SettlementCertificate { commitment, signers, .. } = &certified.certificate;
        let committee = network.committee_of(commitment.epoch).context("the signers are known")?;
        let power = Power {
            signed: committee.power_of(signers.iter().copied()),
            quorum: committee.quorum_power(),
            total: committee.total_power(),
        };
        let digest = SigningDomain::of(network.genesis()).commitment(&certified.commitment);
        let network = network.clone();
        Ok(Self { network, digest, power, certified, statement, on_l1 })
    }

    /// Tells it in one of three ways.
    pub(super) fn tell(self, json: bool, calldata: bool) -> anyhow::Result<ExitCode> {
        match &self.on_l1 {
            Some(on_l1) if calldata => print(&on_l1.calldata)?,
            _ if json => print(self.json())?,
            _ => self.lines()?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn json(&self) -> Value {
        let CertifiedCommitment { commitment, certificate, path } = &self.certified;
        let mut object = statement_json(&self.statement, commitment);
        object.insert("network_id".to_owned(), json!(self.network.id()));
        object.insert("commitment".to_owned(), commitment_json(commitment, &self.digest));
        object.insert(
            "certificate".to_owned(),
            json!({
                "height": certificate.commitment.height,
                "epoch": certificate.commitment.epoch,
                "history_root": certificate.commitment.history_root,
                "signers": certificate.signers,
                "signature": certificate.signature,
                "power": self.power.signed,
                "quorum": self.power.quorum,
                "total_power": self.power.total,
                "path": path,
            }),
        );
        let l1 = self.on_l1.as_ref().map(|on_l1| {
            json!({
                "chain_id": on_l1.chain_id,
                "inbox": on_l1.inbox,
                "under": on_l1.history.under,
                "path": on_l1.history.path,
                "calldata": on_l1.calldata,
            })
        });
        object.insert("l1".to_owned(), json!(l1));
        Value::Object(object)
    }

    fn lines(&self) -> anyhow::Result<()> {
        let CertifiedCommitment { commitment, certificate, .. } = &self.certified;
        let height = commitment.height;
        statement_lines(&self.statement, commitment)?;
        print(format_args!("commitment   {}", self.digest))?;
        let by = &certificate.commitment;
        let signers: Vec<_> = certificate.signers.iter().map(ToString::to_string).collect();
        let Power { signed, quorum, total } = self.power;
        print(format_args!(
            "certified    {}by validators {} of epoch {}, with power {signed} of {total}; a quorum is {quorum}",
            if by.height == height {
                String::new()
            } else {
                format!("with height {}, ", by.height)
            },
            signers.join(", "),
            by.epoch,
        ))?;
        match &self.on_l1 {
            Some(on_l1) => print(format_args!(
                "on L1        ConclaveInbox {} on chain {} accepts it, under the posting of height {}",
                on_l1.inbox, on_l1.chain_id, on_l1.history.under
            )),
            None => print("on L1        not looked at: give --l1 URL"),
        }
    }
}

fn statement_lines(statement: &Statement, commitment: &BlockCommitment) -> anyhow::Result<()> {
    let height = commitment.height;
    match statement {
        Statement::Transaction(TransactionProof { batch, item, transaction, .. }) => {
            print(format_args!(
                "proved       transaction {transaction} is item {item} of {} in batch #{} of rollup {}, at height {height}",
                batch.leaf.items, batch.leaf.sequence, batch.leaf.rollup
            ))
        }
        Statement::Batch(proof) => {
            let (leaf, whole) = (&proof.batch.leaf, proof.is_whole());
            print(format_args!(
                "proved       {} of {} items in batch #{} of rollup {}, at height {height}{}",
                proof.transactions.len(),
                leaf.items,
                leaf.sequence,
                leaf.rollup,
                if whole { ": these are all" } else { "" },
            ))?;
            (proof.first..).zip(&proof.transactions).try_for_each(|(item, transaction)| {
                print(format_args!("  item {item:<6} {transaction}"))
            })
        }
        Statement::Atomic(AtomicProof { bundle, legs }) => {
            print(format_args!(
                "proved       all {} legs of bundle {bundle} are in the block of height {height}",
                legs.len()
            ))?;
            legs.iter().try_for_each(|leg| {
                print(format_args!(
                    "  on {:<8} transaction {} is item {} of {} in batch #{}",
                    leg.batch.leaf.rollup.to_string(),
                    leg.transaction,
                    leg.item,
                    leg.batch.leaf.items,
                    leg.batch.leaf.sequence
                ))
            })
        }
        Statement::Absence(rollup, _) => print(format_args!(
            "proved       rollup {rollup} has nothing at height {height}, where {} rollups have a batch",
            commitment.rollup_count
        )),
    }
}

fn statement_json(statement: &Statement, commitment: &BlockCommitment) -> Map<String, Value> {
    let height = commitment.height;
    let object = match statement {
        Statement::Transaction(TransactionProof { batch, item, transaction, siblings }) => json!({
            "proved": "transaction",
            "height": height,
            "rollup": batch.leaf.rollup,
            "item": item,
            "transaction_hash": transaction,
            "batch": namespace_json(batch),
            "siblings": siblings,
        }),
        Statement::Batch(proof) => {
            let BatchProof { batch, first, transactions, siblings } = proof;
            json!({
                "proved": "batch",
                "height": height,
                "rollup": batch.leaf.rollup,
                "first": first,
                "transaction_hashes": transactions,
                "whole": proof.is_whole(),
                "batch": namespace_json(batch),
                "siblings": siblings,
            })
        }
        Statement::Atomic(AtomicProof { bundle, legs }) => {
            let legs = legs.iter().map(|leg| {
                json!({
                    "rollup": leg.batch.leaf.rollup,
                    "transaction_hash": leg.transaction,
                    "item": leg.item,
                    "batch": namespace_json(&leg.batch),
                    "transaction_siblings": leg.transaction_siblings,
                    "atomic_siblings": leg.atomic_siblings,
                })
            });
            let legs: Vec<_> = legs.collect();
            json!({ "proved": "atomic", "height": height, "bundle_id": bundle, "legs": legs })
        }
        Statement::Absence(rollup, AbsenceProof { before, after }) => json!({
            "proved": "absent",
            "height": height,
            "rollup": rollup,
            "before": before.as_ref().map(namespace_json),
            "after": after.as_ref().map(namespace_json),
        }),
    };
    let Value::Object(object) = object else { return Map::new() };
    object
}

fn namespace_json(proof: &NamespaceProof) -> Value {
    let leaf = &proof.leaf;
    json!({
        "leaf": {
            "rollup": leaf.rollup,
            "index": leaf.index,
            "items": leaf.items,
            "transaction_bytes": leaf.bytes,
            "sequence": leaf.sequence,
            "previous_height": leaf.previous_height,
            "transaction_root": leaf.transaction_root,
            "atomic_root": leaf.atomic_root,
        },
        "siblings": proof.siblings,
    })
}

fn commitment_json(commitment: &BlockCommitment, digest: &Digest) -> Value {
    let end = commitment.epoch_end;
    json!({
        "digest": digest,
        "epoch": commitment.epoch,
        "height": commitment.height,
        "block_id": commitment.block,
        "history_root": commitment.history_root,
        "reveal_root": commitment.reveal_root,
        "rollup_count": commitment.rollup_count,
        "origin_number": commitment.l1_origin.number,
        "origin_hash": commitment.l1_origin.hash,
        "forced_cursor": commitment.forced_cursor,
        "withdrawals_root": commitment.withdrawals_root,
        "next_committee": end.map(|end| end.next_committee),
        "dkg_result": end.map(|end| end.dkg_result),
    })
}
