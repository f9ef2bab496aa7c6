//! What a sealer or a committee member sends: points, proofs, bodies.

use std::sync::LazyLock;

use conclave_encryption::{
    Capsule, CapsuleStatement, Encapsulation, PublicKey, SealedBlock, SecretShare, Suite,
    open_bundle, rehearse, seal, verify_capsules,
};
use conclave_types::{
    BlockId, Digest, EncryptionKey, Era, G1Bytes, Height, Leg, NetworkId, Opening, RollupId,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::{fuzz, fuzz_slow, samples};

/// One sealed bundle, decided alone in a block, with everything that the committee made of it.
struct Opened {
    key: PublicKey,
    shares: Vec<SecretShare>,
    block: SealedBlock,
    openings: Vec<Opening>,
    label: Digest,
    capsule: Vec<u8>,
    body: Vec<u8>,
}

static OPENED: LazyLock<Opened> = LazyLock::new(|| opened(Suite::Packed));
static BASELINE: LazyLock<Opened> = LazyLock::new(|| opened(Suite::Baseline));

fn opened(suite: Suite) -> Opened {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let network = NetworkId::new([1; 32]);
    let packing = suite.packing(4, 0).expect("four parties share a key");
    let (key, shares) = rehearse(suite, packing, Era::new(0), &[1; 32]).expect("all deal");
    let key = PublicKey::new(network, &key).expect("the parties' key is good");
    let legs = [Leg { rollup: RollupId::new(901), transaction: vec![2; 100] }];
    let header = samples::bundle(0).header;
    let sealed = seal(key.sealing_key(), header, &legs, &mut rng).expect("seals");
    let sealed_as = Encapsulation::of(&sealed.header, &sealed.capsule).expect("is long enough");
    let block = SealedBlock::new(&key, Height::new(7), BlockId::new([7; 32]), &[sealed_as]);
    let block = block.expect("one good point");
    let sent: Vec<_> = (0..).zip(&shares).map(|(j, share)| (j, block.share(share, j))).collect();
    let refs: Vec<_> = sent.iter().map(|(j, shares)| (*j, shares.as_slice())).collect();
    let openings = block.combine(&refs, 0..block.share_count()).expect("a quorum opens");
    assert!(block.check(&openings, &[9; 32]), "honest openings pass");
    let label = sealed.header.label();
    Opened { key, shares, block, openings, label, capsule: sealed.capsule, body: sealed.body }
}

#[test]
fn capsule() {
    fuzz_capsule("capsule", &OPENED);
}

#[test]
fn baseline_capsule() {
    fuzz_capsule("baseline capsule", &BASELINE);
}

fn fuzz_capsule(name: &str, opened: &Opened) {
    let suite = opened.key.sealing_key().suite();
    fuzz_slow(name, std::slice::from_ref(&opened.capsule), |bytes| {
        let Ok(capsule) = Capsule::decode(suite, bytes) else { return };
        assert_eq!(capsule.as_bytes(), bytes, "two encodings of one capsule");
        let statement =
            CapsuleStatement { label: opened.label, body: &opened.body, capsule: &capsule };
        let holds = verify_capsules(opened.key.sealing_key(), &[statement], &[3; 32]);
        assert_eq!(holds, [bytes == opened.capsule], "only the sealer's own capsule proves");
    });
}

#[test]
fn body() {
    fuzz_body("body", &OPENED);
}

#[test]
fn baseline_body() {
    fuzz_body("baseline body", &BASELINE);
}

fn fuzz_body(name: &str, opened: &Opened) {
    let suite = opened.key.sealing_key().suite();
    let u = Capsule::decode(suite, &opened.capsule).expect("decodes").u();
    fuzz(name, std::slice::from_ref(&opened.body), |bytes| {
        let legs = open_bundle(&opened.label, &u, &opened.openings[1], suite.number(), bytes);
        assert_eq!(legs.is_ok(), bytes == opened.body, "only the sealed body opens");
    });
}

#[test]
fn openings() {
    for (name, opened) in [("openings", &*OPENED), ("baseline openings", &*BASELINE)] {
        // As a message has them.
        let honest = borsh::to_vec(&opened.openings).expect("writes");
        fuzz_slow(name, std::slice::from_ref(&honest), |bytes| {
            let Ok(openings) = borsh::from_slice::<Vec<Opening>>(bytes) else { return };
            let pass = opened.block.check(&openings, &[4; 32]);
            assert_eq!(pass, openings == opened.openings, "openings are unique");
        });
    }
}

#[test]
fn shares() {
    let opened = &*OPENED;
    let count = opened.block.share_count();
    let honest: Vec<_> = (0..).zip(&opened.shares).map(|(j, s)| opened.block.share(s, j)).collect();
    let bytes: Vec<u8> = honest[0].iter().flat_map(|share| *share.as_bytes()).collect();
    fuzz_slow("shares", std::slice::from_ref(&bytes), |bytes| {
        let first: Vec<_> =
            bytes.chunks(48).filter_map(|point| G1Bytes::from_slice(point).ok()).collect();
        let sent = [(0, first.as_slice()), (1, honest[1].as_slice()), (2, honest[2].as_slice())];
        if let Ok(openings) = opened.block.combine(&sent, 0..count) {
            let pass = opened.block.check(&openings, &[5; 32]);
            assert!(!pass || openings == opened.openings, "a false opening passed");
        }
        let blamed = opened.block.blame(&sent, &[6; 32]);
        assert_eq!(
            blamed.contains(&0),
            first != honest[0],
            "blame falls on the liar, and only then"
        );
        assert!(!blamed.contains(&1) && !blamed.contains(&2), "an honest party was blamed");
    });
}

#[test]
fn committee_key() {
    let good = OPENED.key.encryption_key();
    let corpus = [borsh::to_vec(good).expect("writes")];
    fuzz_slow("committee key", &corpus, |bytes| {
        let Ok(key) = borsh::from_slice::<EncryptionKey>(bytes) else { return };
        if let Ok(parsed) = PublicKey::new(NetworkId::new([1; 32]), &key) {
            assert_eq!(parsed.encryption_key(), &key);
        }
    });
}

#[test]
fn secret_share() {
    let corpus = [OPENED.shares[0].to_bytes().to_vec(), vec![0xff; 32]];
    fuzz("secret share", &corpus, |bytes| {
        let Ok(bytes) = <[u8; 32]>::try_from(bytes) else { return };
        if let Ok(share) = SecretShare::from_bytes(&bytes) {
            assert_eq!(*share.to_bytes(), bytes, "two encodings of one share");
        }
    });
}
