//! Valid values to start mutating from. Their contents need not verify: decoders come before that.

use conclave_types::{
    Attestation, Batch, BatchItem, Block, BlockBody, BlockCommitment, BlockHeader, BlockId,
    BundleHeader, BundleId, BundleNonce, Certificate, ConsensusKey, Deposit, Digest,
    EncryptedBundle, EncryptionKey, Epoch, EpochEnd, Era, ForcedRef, ForcedTransaction, G1Bytes,
    G2Bytes, Genesis, GenesisAccount, Gwei, Height, ItemSource, KeyId, L1Content, L1Entry,
    L1Origin, Leg, LegRef, Member, NetworkId, Outcome, Params, Payee, PayerAddress, PayerSignature,
    RevealedBlock, RevealedBundle, RevealedForced, RollupId, RollupRegistration, Round,
    SettlementCertificate, SettlementKey, SharingMessage, SignatureBytes, Time,
    UndecryptableReason, ValidatorIndex, Withdrawal, WithdrawalRequest,
    wire::{HistoryProof, PaidOut},
};

/// A bundle with a body of `bytes` bytes.
pub(crate) fn bundle(bytes: usize) -> EncryptedBundle {
    EncryptedBundle {
        header: BundleHeader {
            network: NetworkId::new([1; 32]),
            suite: 1,
            key_id: KeyId::new([2; 32]),
            payer: PayerAddress::new([3; 20]),
            nonce: BundleNonce { lane: 4, sequence: 5 },
            max_fee: Gwei::new(6_000_000),
            priority_fee: Gwei::new(7),
            valid_until: Height::new(800),
            body_bytes: u32::try_from(bytes).expect("small"),
        },
        capsule: vec![9; 224],
        body: vec![10; bytes],
        signature: PayerSignature::new([11; 65]),
    }
}

/// A certificate with `signatures` signatures.
pub(crate) fn certificate(signatures: u16) -> Certificate {
    Certificate {
        epoch: Epoch::new(1),
        height: Height::new(41),
        round: Round::new(2),
        block: BlockId::new([12; 32]),
        signatures: (0..signatures)
            .map(|index| (ValidatorIndex::new(index), SignatureBytes::new([13; 64])))
            .collect(),
    }
}

/// A message of a sharing: an acknowledgement.
pub(crate) fn sharing_message() -> SharingMessage {
    SharingMessage {
        epoch: Epoch::new(1),
        round: Round::new(0),
        from: ValidatorIndex::new(2),
        content: conclave_encryption::Message::Acknowledge(Digest::new([13; 32])).encode(),
        signature: SignatureBytes::new([14; 64]),
    }
}

/// A block of two bundles.
pub(crate) fn block() -> Block {
    let body = BlockBody {
        parent_certificate: Some(certificate(3)),
        l1_entries: l1_entries(),
        offers: vec![],
        sharing: vec![sharing_message()],
        next_key: KeyId::new([16; 32]),
        bundles: vec![BundleId::new([14; 32]), BundleId::new([15; 32])],
    };
    let header = BlockHeader {
        network: NetworkId::new([1; 32]),
        height: Height::new(42),
        parent: BlockId::new([12; 32]),
        parent_certificate: body.parent_certificate_digest(),
        proposer: ValidatorIndex::new(2),
        time: Time::from_micros(1_700_000_000_000_000),
        epoch: Epoch::new(1),
        l1_origin: L1Origin { number: 17, hash: Digest::new([16; 32]) },
        l1_entries_root: body.l1_entries_root(),
        key_id: KeyId::new([17; 32]),
        sharing_root: body.sharing_root(),
        bundle_root: body.bundle_root(),
        bundle_count: 2,
        revealed_height: Height::new(40),
        reveal_digest: Digest::new([18; 32]),
        ledger_digest: Digest::new([19; 32]),
    };
    Block { header, body }
}

/// A revealed block: one bundle that opened, one that did not.
pub(crate) fn revealed() -> RevealedBlock {
    let legs = vec![Leg { rollup: RollupId::new(901), transaction: vec![2, 0xf8, 0x70] }];
    let outcomes =
        [Outcome::Opened(legs), Outcome::Undecryptable(UndecryptableReason::BadCiphertext)];
    let bundles = outcomes.into_iter().map(|outcome| RevealedBundle {
        id: BundleId::new([14; 32]),
        payer: PayerAddress::new([3; 20]),
        draw: Digest::new([20; 32]),
        outcome,
    });
    RevealedBlock {
        height: Height::new(42),
        block: BlockId::new([21; 32]),
        time: Time::from_micros(1_700_000_000_000_000),
        epoch: Epoch::new(1),
        l1_origin: L1Origin { number: 17, hash: Digest::new([16; 32]) },
        forced_cursor: 3,
        beacon: Digest::new([22; 32]),
        forced: vec![RevealedForced {
            index: 2,
            entry_hash: Digest::new([23; 32]),
            forced: forced(),
            carried: true,
        }],
        bundles: bundles.collect(),
    }
}

/// A forced transaction.
fn forced() -> ForcedTransaction {
    let transaction = vec![2, 0xf8, 0x71];
    ForcedTransaction { rollup: RollupId::new(901), gas_limit: 50_000, transaction }
}

/// What one L1 block adds to the queue.
fn l1_entries() -> Vec<L1Entry> {
    let deposit = Deposit { payer: PayerAddress::new([3; 20]), amount: Gwei::new(7) };
    let request = WithdrawalRequest {
        payer: PayerAddress::new([3; 20]),
        recipient: PayerAddress::new([4; 20]),
        amount: Gwei::new(5),
    };
    let contents =
        [L1Content::Forced(forced()), L1Content::Deposit(deposit), L1Content::Withdrawal(request)];
    let entry = |(index, content)| L1Entry { index, l1_block: 17, content };
    (2..).zip(contents).map(entry).collect()
}

/// A batch of a forced transaction and a leg.
pub(crate) fn batch() -> Batch {
    let leg = LegRef { bundle: BundleId::new([14; 32]), leg: 0, legs: 2 };
    let entry = ForcedRef { index: 2, gas_limit: 50_000 };
    Batch {
        rollup: RollupId::new(901),
        sequence: 3,
        previous_height: Height::new(40),
        height: Height::new(42),
        block: BlockId::new([21; 32]),
        time: Time::from_micros(1_700_000_000_000_000),
        l1_origin: L1Origin { number: 17, hash: Digest::new([16; 32]) },
        randomness: Digest::new([22; 32]),
        items: vec![
            BatchItem { transaction: vec![2, 0xf8, 0x71], source: ItemSource::Forced(entry) },
            BatchItem { transaction: vec![2, 0xf8, 0x70], source: ItemSource::Leg(leg) },
        ],
    }
}

/// Where a commitment stands in the settled history.
pub(crate) fn history_proof() -> HistoryProof {
    let path = vec![Digest::new([35; 32]), Digest::new([36; 32])];
    HistoryProof { commitment: commitment(), under: Height::new(44), path }
}

/// Withdrawals of an account, for a validator and for the pot.
pub(crate) fn paid_out() -> [PaidOut; 3] {
    let payees = [Payee::Account(PayerAddress::new([4; 20])), Payee::Stake(3), Payee::Pot];
    payees.map(|payee| PaidOut {
        withdrawal: Withdrawal { index: 8, payee, amount: Gwei::new(5) },
        height: Height::new(42),
    })
}

pub(crate) fn commitment() -> BlockCommitment {
    BlockCommitment {
        epoch: Epoch::new(1),
        height: Height::new(42),
        block: BlockId::new([21; 32]),
        history_root: Digest::new([31; 32]),
        reveal_root: Digest::new([32; 32]),
        rollup_count: 2,
        l1_origin: L1Origin { number: 17, hash: Digest::new([16; 32]) },
        forced_cursor: 3,
        withdrawals_root: Digest::ZERO,
        epoch_end: Some(EpochEnd {
            next_committee: Digest::new([33; 32]),
            dkg_result: Digest::new([34; 32]),
        }),
    }
}

pub(crate) fn attestation() -> Attestation {
    let (commitment, validator) = (commitment(), ValidatorIndex::new(2));
    Attestation { commitment, validator, signature: G2Bytes::new([0xa0; 96]) }
}

pub(crate) fn settlement_certificate() -> SettlementCertificate {
    let signers = [0, 2, 3].map(ValidatorIndex::new).to_vec();
    let (commitment, signature) = (commitment(), G2Bytes::new([0xa0; 96]));
    SettlementCertificate { commitment, signers, signature }
}

/// A genesis of four members. Its keys are bytes, not points.
pub(crate) fn genesis() -> Genesis {
    let member = |index: u8| Member {
        name: format!("validator-{index}"),
        consensus_key: ConsensusKey::new([index; 32]),
        network_key: ConsensusKey::new([index + 100; 32]),
        settlement_key: SettlementKey::new([index; 96]),
        validator: u32::from(index),
        power: 1,
    };
    Genesis {
        name: "sample".into(),
        time: Time::from_micros(1_700_000_000_000_000),
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
        params: Params::default(),
        members: (1..=4).map(member).collect(),
        encryption_key: Some(EncryptionKey {
            suite: 1,
            era: Era::new(0),
            secrecy: 2,
            packing: 1,
            public_key: G1Bytes::new([0xc0; 48]),
            public_key_g2: G2Bytes::new([0xc0; 96]),
            verification_keys: vec![G2Bytes::new([0xc0; 96]); 4],
        }),
        rollups: vec![RollupRegistration {
            id: RollupId::new(901),
            name: "one".into(),
            gas_limit: 30_000_000,
        }],
        accounts: vec![GenesisAccount {
            address: PayerAddress::new([3; 20]),
            balance: Gwei::new(1_000_000_000),
        }],
    }
}
