//! What bundles cost that were sealed so that nobody finds a seed in them: opened by their points.

use conclave_encryption::{
    Encapsulation, PublicKey, SealedBlock, Suite, rehearse, seal, seal_wrongly,
};
use conclave_types::{BlockId, Era, Height, Leg, NetworkId, Opening, RollupId};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::{PAYLOAD_BYTES, least, number, ours::header, timed};

const SEED: [u8; 32] = [2; 32];
const BUNDLES: usize = 512;
/// Those in which a block is shown and prepared.
const PARTS: usize = 16;

/// A few rows for these n: none, one in each part, half, and all.
pub(crate) fn print(parties: &[usize]) {
    println!(
        "bundles sealed wrongly, of {BUNDLES}: ms for one ciphertext, by whoever combines and whoever checks"
    );
    println!(
        "{:>4} {:>5} | {:>7} | {:>7} {:>8} | bytes shown once",
        "n", "wrong", "combine", "check", "prepared"
    );
    for parties in parties {
        for every in [0, BUNDLES / PARTS, 2, 1] {
            row(*parties, every);
        }
    }
}

/// Every so many bundles one is sealed wrongly.
fn row(parties: usize, every: usize) {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let network = NetworkId::new([3; 32]);
    let packing = Suite::Packed.packing(parties, 0).unwrap();
    let (key, secrets) = rehearse(Suite::Packed, packing, Era::ZERO, &[1; 32]).unwrap();
    let key = PublicKey::new(network, &key).unwrap();
    let ((), table) = timed(1, || key.sealing_key().prepare());
    let legs = [Leg { rollup: RollupId::new(1), transaction: vec![9; PAYLOAD_BYTES] }];
    let is_wrong = |at: usize| every != 0 && at.is_multiple_of(every);
    let bundles: Vec<Encapsulation> = (0..BUNDLES)
        .map(|at| {
            let seal = if is_wrong(at) { seal_wrongly } else { seal };
            let sealed = seal(key.sealing_key(), header(network, at), &legs, &mut rng).unwrap();
            Encapsulation::of(&sealed.header, &sealed.capsule).unwrap()
        })
        .collect();
    let (height, id) = (Height::new(1), BlockId::new([4; 32]));
    let block = SealedBlock::new(&key, height, id, &bundles).unwrap();
    let count = block.share_count();
    let first = parties - usize::from(packing.quorum());
    let shares: Vec<_> = (0_u16..)
        .zip(&secrets)
        .skip(first)
        .map(|(party, secret)| (party, block.share(secret, party)))
        .collect();
    let shares: Vec<_> = shares.iter().map(|(party, points)| (*party, points.as_slice())).collect();
    let (openings, combine) = least(BUNDLES, || block.combine(&shares, 0..count).unwrap());
    let parts: Vec<_> =
        (0..PARTS).map(|part| part * count / PARTS..(part + 1) * count / PARTS).collect();
    let given: Vec<_> = parts
        .iter()
        .map(|part| (part.clone(), &openings[block.opening_range(part.clone())]))
        .collect();
    let (right, check) = least(BUNDLES, || block.check_ranges(&given, &SEED));
    assert!(right);
    let block = block.expecting(&parts, &SEED);
    let (right, prepared) = least(BUNDLES, || block.check_ranges(&given, &SEED));
    assert!(right);
    let points = openings[1..].iter().filter(|it| matches!(it, Opening::Point(_))).count();
    assert_eq!(points, (0..BUNDLES).filter(|at| is_wrong(*at)).count());
    let bytes: usize = openings.iter().map(|opening| opening.as_bytes().len()).sum();
    println!(
        "{parties:>4} {points:>5} | {combine:>7.3} | {check:>7.3} {prepared:>8.3} | {:>4.1}   (multiples of the key: {table:.1} ms, once)",
        number(bytes) / number(BUNDLES),
    );
}
