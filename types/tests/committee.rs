//! Quorums, and the certificates that prove them.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use conclave_types::{
    BlockId, Certificate, CertificateError, Committee, CommitteeError, ConsensusKey, Epoch, Height,
    Member, NetworkId, Round, SettlementSecret, SignatureBytes, Statement, ValidatorIndex,
    VoteKind,
    digest::{Position, SigningDomain},
};
use ed25519_dalek::{Signer as _, SigningKey};

const BLOCK: BlockId = BlockId::new([9; 32]);

fn key(index: u16) -> SigningKey {
    let mut seed = [1; 32];
    seed[..2].copy_from_slice(&index.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn settlement(index: u16) -> SettlementSecret {
    let mut seed = [2; 32];
    seed[..2].copy_from_slice(&index.to_be_bytes());
    SettlementSecret::from_seed(&seed)
}

fn member(index: u16, power: u64) -> Member {
    let [high, low] = index.to_be_bytes();
    let mut network_key = [0xee; 32];
    (network_key[0], network_key[1]) = (high, low);
    Member {
        name: format!("validator {index}"),
        consensus_key: ConsensusKey::new(key(index).verifying_key().to_bytes()),
        network_key: ConsensusKey::new(network_key),
        settlement_key: settlement(index).key(),
        validator: 0,
        power,
    }
}

fn members(powers: &[u64]) -> Vec<Member> {
    (0..).zip(powers).map(|(index, power)| member(index, *power)).collect()
}

fn committee(powers: &[u64]) -> Committee {
    Committee::new(members(powers)).unwrap()
}

fn domain() -> SigningDomain {
    SigningDomain { network: NetworkId::new([5; 32]), l1_chain_id: 1, l1_contract: [6; 20] }
}

fn sign(signer: u16, domain: &SigningDomain, kind: VoteKind, at: Position) -> SignatureBytes {
    let message = domain.vote(kind.code(), at, Some(BLOCK));
    SignatureBytes::new(key(signer).sign(message.as_bytes()).to_bytes())
}

fn at() -> Position {
    Position { epoch: Epoch::new(1), height: Height::new(7), round: Round::new(2) }
}

fn certificate(signers: &[u16]) -> Certificate {
    let sign = |signer: &u16| {
        (ValidatorIndex::new(*signer), sign(*signer, &domain(), VoteKind::Precommit, at()))
    };
    Certificate {
        epoch: at().epoch,
        height: at().height,
        round: at().round,
        block: BLOCK,
        signatures: signers.iter().map(sign).collect(),
    }
}

#[test]
fn a_quorum_is_the_least_that_leaves_less_than_a_third_out() {
    for count in 1..=200_u64 {
        let committee = committee(&vec![1; usize::try_from(count).unwrap()]);
        let quorum = (1..=count).find(|power| 3 * power > 2 * count).unwrap();
        let faulty = (0..count).filter(|power| 3 * power < count).max().unwrap();
        assert_eq!(committee.quorum_power(), quorum, "of {count}");
        assert_eq!(committee.fault_power(), faulty, "of {count}");
        let fault_count = Committee::fault_count(committee.count());
        assert_eq!(u64::try_from(fault_count).unwrap(), faulty, "of {count}");
        // Two quorums share more than may be faulty; the honest are a quorum.
        assert!(2 * quorum - count > faulty && count - faulty >= quorum, "of {count}");
    }
}

#[test]
fn power_counts_and_not_members() {
    let committee = committee(&[10, 1, 1, 1]);
    assert_eq!(
        (committee.total_power(), committee.quorum_power(), committee.fault_power()),
        (13, 9, 4)
    );
    let all = [0, 0, 1, 9].map(ValidatorIndex::new);
    assert_eq!(committee.power_of(all), 11, "each once, strangers not at all");
    let alone = certificate(&[0]).verify(&committee, &domain());
    assert_eq!(alone, Ok(Statement { height: at().height, block: BLOCK }));
    let rest = certificate(&[1, 2, 3]).verify(&committee, &domain());
    assert_eq!(rest, Err(CertificateError::NoQuorum { expected: 9, found: 3 }));
}

#[test]
fn the_largest_power_does_not_overflow() {
    let most = i64::MAX.unsigned_abs();
    let committee = committee(&[most - 1, 1]);
    assert_eq!(u128::from(committee.quorum_power()), u128::from(most) * 2 / 3 + 1);
    let beyond = Committee::new(members(&[most, 1]));
    assert_eq!(beyond, Err(CommitteeError::TotalPower));
    assert_eq!(Committee::new(members(&[u64::MAX, u64::MAX])), Err(CommitteeError::TotalPower));
}

#[test]
fn a_list_that_is_no_committee_is_refused() {
    let index = ValidatorIndex::new;
    assert_eq!(Committee::new(vec![]), Err(CommitteeError::Count { found: 0 }));
    let many = Committee::new(vec![member(0, 1); 1_025]);
    assert_eq!(many, Err(CommitteeError::Count { found: 1_025 }));
    assert_eq!(Committee::new(members(&[1, 0])), Err(CommitteeError::NoPower(index(1))));
    let mut twins = members(&[1, 1, 1]);
    twins[2].consensus_key = twins[0].consensus_key;
    assert_eq!(Committee::new(twins), Err(CommitteeError::DuplicateKey(index(2))));
    let mut shared_host = members(&[1, 1]);
    shared_host[1].network_key = shared_host[0].network_key;
    assert_eq!(Committee::new(shared_host), Err(CommitteeError::DuplicateKey(index(1))));
    // y = 1 is the neutral element: any signature verifies under it without the strict rule.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut weak = members(&[1, 1]);
    weak[1].consensus_key = ConsensusKey::new(neutral);
    assert_eq!(Committee::new(weak), Err(CommitteeError::BadKey(index(1))));
    let off_curve = (0..=u8::MAX)
        .map(|byte| [byte; 32])
        .find(|bytes| ed25519_dalek::VerifyingKey::from_bytes(bytes).is_err());
    let mut broken = members(&[1, 1]);
    broken[1].consensus_key = ConsensusKey::new(off_curve.unwrap());
    assert_eq!(Committee::new(broken), Err(CommitteeError::BadKey(index(1))));
}

#[test]
fn a_quorum_of_precommits_proves_a_decision() {
    let committee = committee(&[1; 4]);
    let expected = Ok(Statement { height: at().height, block: BLOCK });
    for signers in [&[0, 1, 2][..], &[0, 2, 3], &[1, 2, 3], &[0, 1, 2, 3]] {
        assert_eq!(certificate(signers).verify(&committee, &domain()), expected, "{signers:?}");
    }
    for signers in [&[][..], &[3], &[0, 1], &[2, 3]] {
        let found = u64::try_from(signers.len()).unwrap();
        let expected = Err(CertificateError::NoQuorum { expected: 3, found });
        assert_eq!(certificate(signers).verify(&committee, &domain()), expected, "{signers:?}");
    }
}

#[test]
fn signers_ascend_are_distinct_and_are_members() {
    let committee = committee(&[1; 4]);
    let cases = [
        (&[0, 0, 1][..], CertificateError::Order(ValidatorIndex::new(0))),
        (&[0, 1, 1], CertificateError::Order(ValidatorIndex::new(1))),
        (&[0, 2, 1], CertificateError::Order(ValidatorIndex::new(1))),
        (&[0, 1, 4], CertificateError::UnknownSigner(ValidatorIndex::new(4))),
        (&[0, 1, u16::MAX], CertificateError::UnknownSigner(ValidatorIndex::new(u16::MAX))),
    ];
    for (signers, expected) in cases {
        assert_eq!(
            certificate(signers).verify(&committee, &domain()),
            Err(expected),
            "{signers:?}"
        );
    }
}

#[test]
fn a_signature_of_anything_else_proves_nothing() {
    let committee = committee(&[1; 4]);
    let bad = Err(CertificateError::BadSignature(ValidatorIndex::new(2)));
    let home = domain();
    let here = at();
    let cases = [
        ("a prevote", sign(2, &home, VoteKind::Prevote, here)),
        ("another member's", sign(1, &home, VoteKind::Precommit, here)),
        (
            "another round",
            sign(2, &home, VoteKind::Precommit, Position { round: Round::ZERO, ..here }),
        ),
        (
            "another height",
            sign(2, &home, VoteKind::Precommit, Position { height: Height::new(8), ..here }),
        ),
        (
            "another epoch",
            sign(2, &home, VoteKind::Precommit, Position { epoch: Epoch::ZERO, ..here }),
        ),
        (
            "another network",
            sign(2, &SigningDomain { network: NetworkId::ZERO, ..home }, VoteKind::Precommit, here),
        ),
        (
            "another L1",
            sign(2, &SigningDomain { l1_chain_id: 2, ..home }, VoteKind::Precommit, here),
        ),
        (
            "another contract",
            sign(2, &SigningDomain { l1_contract: [7; 20], ..home }, VoteKind::Precommit, here),
        ),
        ("zeros", SignatureBytes::new([0; 64])),
        ("ones", SignatureBytes::new([0xff; 64])),
    ];
    for (name, signature) in cases {
        let mut certificate = certificate(&[0, 1, 2, 3]);
        certificate.signatures[2].1 = signature;
        assert_eq!(certificate.verify(&committee, &home), bad, "{name}");
    }
    let mut other_block = certificate(&[0, 1, 2]);
    other_block.block = BlockId::new([0xcc; 32]);
    let first = Err(CertificateError::BadSignature(ValidatorIndex::new(0)));
    assert_eq!(other_block.verify(&committee, &home), first);
    // A quorum may have precommitted nil, which is signed as the zero id. That decides nothing.
    let nil =
        |signer| (ValidatorIndex::new(signer), home.vote(VoteKind::Precommit.code(), here, None));
    let signatures = [0, 1, 2].map(nil).map(|(signer, digest)| {
        (signer, SignatureBytes::new(key(signer.as_u16()).sign(digest.as_bytes()).to_bytes()))
    });
    let nothing =
        Certificate { block: BlockId::ZERO, signatures: signatures.to_vec(), ..other_block };
    assert_eq!(nothing.verify(&committee, &home), Err(CertificateError::Nil));
}
