//! The suites of this crate.

use std::hint::black_box;

use conclave_encryption::{
    Capsule, CapsuleStatement, Encapsulation, PublicKey, Sealed, SealedBlock, SecretShare, Suite,
    open_bundle, rehearse, seal, verify_capsules,
};
use conclave_types::{
    BlockId, BundleHeader, BundleNonce, Era, G1Bytes, Gwei, Height, KeyId, Leg, NetworkId, Opening,
    PayerAddress, RollupId,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use crate::{Costs, PAYLOAD_BYTES, clocked, least, number, timed};

const SEED: [u8; 32] = [2; 32];

/// A block and everyone's shares of it.
struct Block {
    key: PublicKey,
    secrets: Vec<SecretShare>,
    sealed: Vec<Sealed>,
    encapsulations: Vec<Encapsulation>,
    /// The last t parties': the coefficients of the first t are integers, the best case.
    shares: Vec<(u16, Vec<G1Bytes>)>,
    openings: Vec<Opening>,
}

impl Block {
    fn shares(&self) -> Vec<(u16, &[G1Bytes])> {
        self.shares.iter().map(|(party, points)| (*party, points.as_slice())).collect()
    }

    /// As a validator does that has admitted the bundles.
    fn parse(&self) -> SealedBlock {
        let (height, id) = (Height::new(1), BlockId::new([4; 32]));
        SealedBlock::new(&self.key, height, id, &self.encapsulations).unwrap()
    }

    fn admit(&self) {
        let suite = self.key.sealing_key().suite();
        let decode = |sealed: &Sealed| Capsule::decode(suite, &sealed.capsule).unwrap();
        let capsules: Vec<_> = self.sealed.iter().map(decode).collect();
        let pairs = self.sealed.iter().zip(&capsules);
        let statements: Vec<_> = pairs
            .map(|(sealed, capsule)| CapsuleStatement {
                label: sealed.header.label(),
                body: &sealed.body,
                capsule,
            })
            .collect();
        let verdicts = verify_capsules(self.key.sealing_key(), &statements, &SEED);
        assert!(verdicts.iter().all(|verdict| *verdict));
    }

    fn open(&self) {
        for (index, sealed) in self.sealed.iter().enumerate() {
            let (label, opening) = (sealed.header.label(), &self.openings[index + 1]);
            let suite = sealed.header.suite;
            let u = self.encapsulations[index].u();
            open_bundle(&label, u, opening, suite, &sealed.body).unwrap();
        }
    }

    /// All that a validator does for a block if nobody shows it anything.
    fn alone(&self) {
        self.admit();
        let block = self.parse();
        black_box(block.share(&self.secrets[0], 0));
        let openings = block.combine(&self.shares(), 0..block.share_count()).unwrap();
        assert!(block.check(&openings, &SEED));
        self.open();
    }
}

/// One row.
pub(crate) fn measure(suite: Suite, parties: usize, count: usize) -> Costs {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let network = NetworkId::new([3; 32]);
    let packing = suite.packing(parties, 0).unwrap();
    let (key, secrets) = rehearse(suite, packing, Era::ZERO, &[1; 32]).unwrap();
    let key = PublicKey::new(network, &key).unwrap();
    let legs = [Leg { rollup: RollupId::new(1), transaction: vec![9; PAYLOAD_BYTES] }];
    let (sealed, encrypt) = timed(count, || {
        let seal = |i| seal(key.sealing_key(), header(network, i), &legs, &mut rng).unwrap();
        (0..count).map(seal).collect::<Vec<_>>()
    });
    let admitted = |sealed: &Sealed| {
        Capsule::decode(suite, &sealed.capsule).unwrap().encapsulation(&sealed.header.label())
    };
    let encapsulations = sealed.iter().map(admitted).collect();
    let (shares, openings) = (Vec::new(), Vec::new());
    let mut block = Block { key, secrets, sealed, encapsulations, shares, openings };
    let ((), admit) = least(count, || block.admit());
    let (parsed, parse) = least(count, || block.parse());
    let first = parties - usize::from(packing.quorum());
    let mut share = 0.0;
    for (party, secret) in (0_u16..).zip(&block.secrets).skip(first) {
        let last = usize::from(party) + 1 == parties;
        let work = || parsed.share(secret, party);
        let (points, time) = if last { least(count, work) } else { timed(count, work) };
        share = time;
        block.shares.push((party, points));
    }
    let (openings, combine) =
        least(count, || parsed.combine(&block.shares(), 0..parsed.share_count()).unwrap());
    let (right, check) = least(count, || parsed.check(&openings, &SEED));
    assert!(right);
    block.openings = openings;
    let (wrong, blame) = least(count, || parsed.blame(&block.shares()[..1], &SEED));
    assert!(wrong.is_empty());
    let ((), open) = least(count, || block.open());
    let bytes: usize = block.openings.iter().map(|opening| opening.as_bytes().len()).sum();
    let shown = bytes * block.key.packing().shown_by(parties).min(parties - 1);
    Costs {
        scheme: match suite {
            Suite::Packed => "conclave 0x01",
            Suite::Baseline => "conclave 0x02",
        },
        bundles: Some(count),
        encrypt,
        admit,
        share: parse + share,
        combine,
        check,
        open,
        cooperative: true,
        blame,
        sent: number(48 * parsed.share_count()) / number(count),
        shown: number(shown) / number(count),
        speed_up: Some(speed_up(&block)),
    }
}

/// Every core does a block of its own, as jobs of a validator do.
fn speed_up(block: &Block) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rounds = 64_usize.div_ceil(block.sealed.len());
    let ((), one) = clocked(rounds, || (0..rounds).for_each(|_| block.alone()));
    let ((), all) =
        clocked(rounds * cores, || (0..rounds * cores).into_par_iter().for_each(|_| block.alone()));
    one / all
}

pub(crate) fn header(network: NetworkId, sequence: usize) -> BundleHeader {
    BundleHeader {
        network,
        suite: 0,
        key_id: KeyId::ZERO,
        payer: PayerAddress::new([7; 20]),
        nonce: BundleNonce { lane: 0, sequence: sequence as u64 },
        max_fee: Gwei::new(1),
        priority_fee: Gwei::ZERO,
        valid_until: Height::new(100),
        body_bytes: 0,
    }
}
