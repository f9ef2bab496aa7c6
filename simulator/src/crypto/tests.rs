//! What is remembered is what would be worked out, and tokens tell right from wrong.

use conclave_encryption::{Packing, PublicKey, SecretShare, Suite, rehearse, seal};
use conclave_sequencer::{BatchSeed, KnownShares, OwnSecrets, ShareMessage, encapsulation};
use conclave_types::{
    BundleHeader, BundleNonce, EncryptedBundle, Epoch, Era, Gwei, KeyId, NetworkId, PayerAddress,
    PayerSignature, RollupId, SignatureBytes,
};

use super::*;
use crate::random::Random;

const HEIGHT: Height = Height::new(5);
const BLOCK: BlockId = BlockId::new([6; 32]);
const ROLLUP: RollupId = RollupId::new(901);

struct Committee {
    key: Arc<PublicKey>,
    secrets: Vec<Arc<SecretShare>>,
    bundles: Vec<Arc<EncryptedBundle>>,
    legs: Vec<Vec<Leg>>,
}

/// Each message with the one point of its sender.
fn of_points(shares: Vec<Arc<ShareMessage>>) -> Vec<(Range<u16>, Arc<ShareMessage>)> {
    let point = |message: &Arc<ShareMessage>| message.validator.as_u16();
    shares.into_iter().map(|message| (point(&message)..point(&message) + 1, message)).collect()
}

fn committee() -> Committee {
    let network = NetworkId::new([3; 32]);
    let mut random = Random::new(1, 1);
    let packing = Packing::for_parties(4).unwrap();
    let (key, secrets) = rehearse(Suite::Packed, packing, Era::ZERO, &[1; 32]).unwrap();
    let key = PublicKey::new(network, &key).unwrap();
    let header = |sequence| BundleHeader {
        network,
        suite: key.sealing_key().suite().number(),
        key_id: KeyId::ZERO,
        payer: PayerAddress::new([7; 20]),
        nonce: BundleNonce { lane: 0, sequence },
        max_fee: Gwei::new(1),
        priority_fee: Gwei::ZERO,
        valid_until: Height::new(100),
        body_bytes: 0,
    };
    let legs: Vec<_> =
        (0..3_u8).map(|tx| vec![Leg { rollup: ROLLUP, transaction: vec![tx] }]).collect();
    let bundles = (0..).zip(&legs).map(|(sequence, legs)| {
        let sealed = seal(key.sealing_key(), header(sequence), legs, random.rng()).unwrap();
        Arc::new(EncryptedBundle {
            header: sealed.header,
            capsule: sealed.capsule,
            body: sealed.body,
            signature: PayerSignature::new([0; 65]),
        })
    });
    let bundles = bundles.collect();
    let secrets = secrets.into_iter().map(Arc::new).collect();
    Committee { key: Arc::new(key), secrets, bundles, legs }
}

impl Committee {
    fn share_job(&self, party: u16) -> Job {
        let secret = Arc::clone(&self.secrets[usize::from(party)]);
        Job::Share(ShareJob {
            key: Arc::clone(&self.key),
            height: HEIGHT,
            block: BLOCK,
            encapsulations: self.bundles.iter().map(|bundle| encapsulation(bundle)).collect(),
            secrets: Some(OwnSecrets {
                validator: ValidatorIndex::new(party),
                points: vec![(party, secret)],
            }),
            known: KnownShares::default(),
            expect: None,
        })
    }

    fn combine_job(&self, sealed: &Arc<SealedBlock>, shares: Vec<Arc<ShareMessage>>) -> Job {
        Job::Combine(CombineJob {
            height: HEIGHT,
            block: BLOCK,
            sealed: Arc::clone(sealed),
            part: 0,
            sub_batches: 0..2,
            shares: of_points(shares),
            seed: BatchSeed::new([9; 32]),
        })
    }

    fn open_job(&self, sealed: &Arc<SealedBlock>, openings: Vec<Opening>) -> Job {
        let half = |source, sub_batches| (source, std::iter::once(sub_batches).collect());
        let rest = 2..sealed.share_count();
        let halves = [half(Source::Block, 0..2), half(Source::Own, rest)];
        Job::Open(OpenJob {
            height: HEIGHT,
            block: BLOCK,
            sealed: Arc::clone(sealed),
            openings,
            unchecked: halves.to_vec(),
            ids: self.bundles.iter().map(|bundle| bundle.id()).collect(),
            bundles: self.bundles.clone(),
            rollups: Arc::new([ROLLUP].into()),
            seed: BatchSeed::new([9; 32]),
        })
    }
}

fn shared(output: JobOutput) -> (Arc<SealedBlock>, Vec<G1Bytes>) {
    let JobOutput::Shared(SharedBlock { sealed, shares, .. }) = output else { panic!() };
    (sealed.unwrap(), shares.unwrap())
}

fn opened(output: JobOutput) -> Result<OpenedBlock, WrongOpenings> {
    let JobOutput::Opened { result, .. } = output else { panic!() };
    result
}

fn combined(output: JobOutput) -> Result<CombinedPart, CombineFailure> {
    let JobOutput::Combined { result, .. } = output else { panic!() };
    result
}

fn message(party: u16, shares: &[G1Bytes]) -> Arc<ShareMessage> {
    Arc::new(ShareMessage {
        epoch: Epoch::ZERO,
        height: HEIGHT,
        block: BLOCK,
        validator: ValidatorIndex::new(party),
        shares: shares.to_vec(),
        signature: SignatureBytes::new([0; 64]),
    })
}

type Combined = Result<CombinedPart, CombineFailure>;
type Opened = Result<OpenedBlock, WrongOpenings>;

/// What a mode makes of right shares of two quorums and of shares that are wrong in the part and beside
/// it; then of right openings, twice, and of openings that are wrong in either half.
fn outcomes(mode: Crypto) -> (Vec<Combined>, Vec<Opened>) {
    let committee = committee();
    let mut workshop = Workshop::new(mode);
    for (bundle, legs) in committee.bundles.iter().zip(&committee.legs) {
        workshop.sealed(bundle.id(), legs);
    }
    let all: Vec<_> =
        (0..4).map(|party| shared(workshop.run(committee.share_job(party)))).collect();
    let sealed = &all[0].0;
    let right = |party: u16| message(party, &all[usize::from(party)].1);
    let bent = |index: usize| {
        let mut shares = all[3].1.clone();
        shares[index] = all[0].1[index];
        message(3, &shares)
    };
    let mut combine = |shares| combined(workshop.run(committee.combine_job(sealed, shares)));
    let parts = vec![
        combine(vec![right(0), right(1), right(2)]),
        combine(vec![right(1), right(2), right(3)]),
        combine(vec![right(0), right(1), bent(1)]),
        combine(vec![right(0), right(1), bent(3)]),
    ];
    let whole = CombineJob {
        height: HEIGHT,
        block: BLOCK,
        sealed: Arc::clone(sealed),
        part: 0,
        sub_batches: 0..sealed.share_count(),
        shares: of_points(vec![right(0), right(1), right(2)]),
        seed: BatchSeed::new([9; 32]),
    };
    let openings = combined(workshop.run(Job::Combine(whole))).unwrap().openings;
    let false_at = |index: usize| {
        let mut openings = openings.clone();
        openings[index] = openings[(index + 1) % openings.len()];
        openings
    };
    let mut open = |openings| opened(workshop.run(committee.open_job(sealed, openings)));
    let blocks =
        vec![open(openings.clone()), open(openings.clone()), open(false_at(0)), open(false_at(3))];
    (parts, blocks)
}

#[test]
fn remembering_gives_what_working_it_out_gives() {
    assert_eq!(outcomes(Crypto::Memoised), outcomes(Crypto::Real));
}

#[test]
fn tokens_blame_whom_the_real_thing_blames_and_open_to_the_same() {
    let who = |found: Combined| found.map(|part| part.share_validators);
    let what = |found: Opened| found.map(|opened| opened.outcomes);
    let told = |(parts, blocks): (Vec<Combined>, Vec<Opened>)| {
        let parts: Vec<_> = parts.into_iter().map(who).collect();
        (parts, blocks.into_iter().map(what).collect::<Vec<_>>())
    };
    let (parts, blocks) = told(outcomes(Crypto::Real));
    assert_eq!(told(outcomes(Crypto::Modelled)), (parts.clone(), blocks.clone()));
    let liar = vec![ValidatorIndex::new(3)];
    assert_eq!(parts[2], Err(CombineFailure::WrongShares(liar)));
    assert!(parts[3].is_ok(), "what is wrong beside the part does not spoil it");
    assert_eq!(blocks[2], Err(WrongOpenings(vec![Source::Block])));
    assert_eq!(blocks[3], Err(WrongOpenings(vec![Source::Own])));
}

#[test]
fn a_remembered_verdict_is_the_verdict() {
    let committee = committee();
    let verify = |workshop: &mut Workshop| {
        let job = VerifyJob {
            key: Arc::new(committee.key.sealing_key().clone()),
            seed: BatchSeed::new([1; 32]),
            ids: committee.bundles.iter().map(|bundle| bundle.id()).collect(),
            bundles: committee.bundles.clone(),
        };
        let JobOutput::Verified(verdicts) = workshop.run(Job::Verify(job)) else { panic!() };
        verdicts
    };
    let mut workshop = Workshop::new(Crypto::Memoised);
    let first = verify(&mut workshop);
    assert_eq!(workshop.remembered, 0);
    assert_eq!(verify(&mut workshop), first);
    assert_eq!(workshop.remembered, 1);
    assert_eq!(verify(&mut Workshop::new(Crypto::Real)), first);
    assert!(first.iter().all(|(_, verdict)| verdict.is_err()), "nobody signed them");
}

#[test]
fn old_heights_are_forgotten() {
    let committee = committee();
    let mut workshop = Workshop::new(Crypto::Memoised);
    drop(workshop.run(committee.share_job(0)));
    workshop.forget_below(HEIGHT.saturating_add(HEIGHTS_KEPT));
    assert_eq!((workshop.sealed.len(), workshop.shares.len()), (1, 1));
    workshop.forget_below(HEIGHT.saturating_add(HEIGHTS_KEPT).next());
    assert_eq!((workshop.sealed.len(), workshop.shares.len()), (0, 0));
}
