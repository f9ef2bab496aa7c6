//! Two tables: what each operation costs, per ciphertext, in milliseconds on one thread; and what a
//! sharing of the key costs one validator.
//!
//! `cargo bench -p conclave-encryption` runs all; numbers as arguments restrict the parties, and `dkg`
//! leaves the first table out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::float_arithmetic,
    reason = "a benchmark prints what it timed, and stops at the first surprise"
)]

use std::time::Instant;

use conclave_encryption::{
    Capsule, CapsuleStatement, Dealing, Dkg, HolderKey, Holders, Message, Packing, PublicKey,
    SealedBlock, SecretShare, Session, SessionId, deal, open_bundle, seal, verify_capsules,
};
use conclave_types::{
    BlockId, BundleHeader, BundleNonce, Epoch, Era, G1Bytes, Gwei, Height, KeyId, Leg, NetworkId,
    PayerAddress, RollupId, Round, ValidatorIndex, digest::keccak,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const PARTIES: [usize; 5] = [4, 16, 31, 64, 100];
const BUNDLES: [usize; 4] = [1, 32, 128, 512];
/// Bytes of the transaction in every bundle.
const PAYLOAD_BYTES: usize = 900;

fn main() {
    let chosen: Vec<usize> =
        std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let parties = if chosen.is_empty() { PARTIES.to_vec() } else { chosen };
    if !std::env::args().any(|argument| argument == "dkg") {
        ciphertexts(&parties);
    }
    sharings(&parties);
}

fn ciphertexts(parties: &[usize]) {
    println!("{}; one thread; ms per ciphertext of 1 KiB; suite 0x01", machine());
    println!(
        "{:>4} {:>3} {:>3} {:>3} {:>4} | {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} | {:>9}",
        "n",
        "t",
        "l",
        "c",
        "B",
        "encrypt",
        "decode",
        "verify",
        "parse",
        "share",
        "combine",
        "check",
        "blame",
        "open",
        "bytes/val"
    );
    for parties in parties {
        for bundles in BUNDLES {
            row(*parties, bundles);
        }
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{} × {cores}", model.unwrap_or("unknown processor"))
}

/// Runs `work` and says how many milliseconds of it fall to one of `count`.
fn timed<T>(count: usize, work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64() * 1e3 / u32::try_from(count).map_or(1.0, f64::from))
}

fn header(network: NetworkId, sequence: usize) -> BundleHeader {
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

fn row(parties: usize, count: usize) {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let seed = [2; 32];
    let network = NetworkId::new([3; 32]);
    let packing = Packing::for_parties(parties).unwrap();
    let (key, secrets) = deal(packing, Era::ZERO, &mut rng);
    let key = PublicKey::new(network, &key).unwrap();
    let legs = [Leg { rollup: RollupId::new(1), transaction: vec![9; PAYLOAD_BYTES] }];

    let (sealed, encrypt) = timed(count, || {
        let seal = |i| seal(key.sealing_key(), header(network, i), &legs, &mut rng).unwrap();
        (0..count).map(seal).collect::<Vec<_>>()
    });
    let (capsules, decode) = timed(count, || {
        sealed.iter().map(|sealed| Capsule::decode(&sealed.capsule).unwrap()).collect::<Vec<_>>()
    });
    let (verdicts, verify) = timed(count, || {
        let pairs = sealed.iter().zip(&capsules);
        let statements: Vec<_> = pairs
            .map(|(sealed, capsule)| CapsuleStatement {
                label: sealed.header.label(),
                body_hash: keccak(&sealed.body),
                capsule,
            })
            .collect();
        verify_capsules(key.sealing_key(), &statements, &seed)
    });
    assert!(verdicts.iter().all(|verdict| *verdict));

    let us: Vec<G1Bytes> = capsules.iter().map(Capsule::u).collect();
    let (block, parse) = timed(count, || {
        SealedBlock::new(&key, Height::new(1), BlockId::new([4; 32]), &us).unwrap()
    });
    // The last t parties: the coefficients of the first t are integers, the best case.
    let first = parties - usize::from(packing.quorum());
    let mut shares = Vec::new();
    let mut share = 0.0;
    for (party, secret) in (0_u16..).zip(&secrets).skip(first) {
        let (points, time) = timed(count, || block.share(secret, party));
        share = time;
        shares.push((party, points));
    }
    let shares: Vec<(u16, &[G1Bytes])> =
        shares.iter().map(|(party, points)| (*party, points.as_slice())).collect();
    let (openings, combine) =
        timed(count, || block.combine(&shares, 0..block.share_count()).unwrap());
    let (right, check) = timed(count, || block.check(&openings, &seed));
    assert!(right);
    let (wrong, blame) = timed(count, || block.blame(&shares[..1], &seed));
    assert!(wrong.is_empty());
    let (_, open) = timed(count, || {
        for (index, sealed) in sealed.iter().enumerate() {
            let (label, opening) = (sealed.header.label(), &openings[index + 1]);
            open_bundle(&label, &us[index], opening, sealed.header.suite, &sealed.body).unwrap();
        }
    });
    println!(
        "{parties:>4} {:>3} {:>3} {:>3} {count:>4} | {encrypt:>8.3} {decode:>8.3} {verify:>8.3} | {parse:>8.3} \
         {share:>8.3} {combine:>8.3} {check:>8.3} {blame:>8.3} {open:>8.3} | {:>9}",
        packing.quorum(),
        packing.packing(),
        packing.secrecy(),
        48 * block.share_count(),
    );
}

/// What making a key and handing it on cost one validator, every point being another's.
fn sharings(parties: &[usize]) {
    println!();
    println!("{}; one thread; ms for one validator; fresh key, then resharing", machine());
    println!(
        "{:>4} {:>3} {:>3} {:>3} {:>8} | {:>8} {:>9} {:>9} {:>9} {:>8} | {:>9} | {:>9}",
        "n",
        "t",
        "l",
        "c",
        "dealings",
        "deal",
        "check",
        "decrypt",
        "finish",
        "share",
        "in all",
        "KB chain"
    );
    for parties in parties {
        let packing = Packing::for_parties(*parties).unwrap();
        let holders = Holders::one_each(*parties).unwrap();
        let id = |epoch| SessionId {
            network: NetworkId::new([3; 32]),
            era: Era::ZERO,
            epoch: Epoch::new(epoch),
            round: Round::ZERO,
        };
        let fresh = Session::fresh(id(1), holders.clone(), packing).unwrap();
        let (made, keys) = sharing(&fresh, *parties, |dkg, dealer| {
            dkg.deal(ValidatorIndex::new(dealer), &[5; 32]).unwrap()
        });
        let shares: Vec<SecretShare> =
            (0_u16..).zip(&keys).map(|(point, key)| made.my_share(key, point).unwrap()).collect();
        let old = (made.outcome().unwrap().key(), holders.clone());
        let reshare = Session::reshare(id(2), old, holders, packing).unwrap();
        let count = usize::from(reshare.required());
        sharing(&reshare, count, |dkg, dealer| {
            dkg.reshare(dealer, &shares[usize::from(dealer)], &[6; 32]).unwrap()
        });
    }
}

/// One sharing with `count` dealings, and a row about it.
fn sharing(
    session: &Session,
    count: usize,
    deal: impl Fn(&Dkg, u16) -> Dealing,
) -> (Dkg, Vec<HolderKey>) {
    let mut dkg = Dkg::new(session.clone());
    let validators = session.holders().iter().map(|(validator, _)| validator);
    let keys: Vec<HolderKey> =
        validators.map(|each| HolderKey::derive(session, each, &[4; 32])).collect();
    let mut bytes = 0;
    let (_, register) = timed(1, || {
        for key in &keys {
            let message = Message::Register(key.registration(session));
            bytes += message.encode().len();
            dkg.apply(key.validator(), &message).unwrap();
        }
    });
    dkg.close_registration().unwrap();
    let dealers = 0..u16::try_from(count).unwrap();
    let (messages, deal) = timed(count, || {
        let deal = |dealer| (dealer, Message::Deal(Box::new(deal(&dkg, dealer))));
        dealers.clone().map(deal).collect::<Vec<_>>()
    });
    let (_, check) = timed(1, || {
        for (dealer, message) in &messages {
            bytes += message.encode().len();
            let from = session.dealer(*dealer).unwrap();
            dkg.apply(from, message).unwrap();
        }
    });
    let key = &keys[keys.len() - 1];
    let (complaints, decrypt) = timed(1, || dkg.complaints(key));
    assert!(complaints.is_empty());
    dkg.close_dealing().unwrap();
    let (_, finish) = timed(1, || dkg.finish().unwrap());
    let (_, share) = timed(1, || dkg.my_share(key, key.validator().as_u16()).unwrap());
    let packing = session.packing();
    println!(
        "{:>4} {:>3} {:>3} {:>3} {count:>8} | {deal:>8.1} {check:>9.1} {decrypt:>9.1} \
         {finish:>9.1} {share:>8.1} | {:>9.1} | {:>9.1}",
        packing.parties(),
        packing.quorum(),
        packing.packing(),
        packing.secrecy(),
        register + deal + check + decrypt + finish + share,
        f64::from(u32::try_from(bytes).unwrap()) / 1024.0,
    );
    (dkg, keys)
}
