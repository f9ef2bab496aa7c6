use conclave_encryption::{Packing, PublicKey, Suite, rehearse, seal};
use conclave_types::{
    BundleHeader, BundleNonce, Era, HeightDelta, Leg, PayerSignature, RollupId, bucket_for,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use secp256k1::{All, SecretKey};

use super::*;
use crate::{
    Ledger, LedgerError, Pool, PoolBounds, PoolError,
    testing::{genesis, params, turn},
};

const DECIDED: Height = Height::new(10);
const SEED: [u8; 32] = [42; 32];

type Change = fn(&mut EncryptedBundle);

/// A network with a key, and two payers that can sign.
struct World {
    key: PublicKey,
    rules: Rules,
    keys: AdmittedKeys,
    curve: Secp256k1<All>,
    alice: SecretKey,
    mallory: SecretKey,
}

impl World {
    fn new() -> Self {
        Self::on(NetworkId::new([7; 32]), 1)
    }

    fn on(network: NetworkId, seed: u8) -> Self {
        let packing = Packing::for_parties(4).unwrap();
        let (key, _) = rehearse(Suite::Packed, packing, Era::ZERO, &[seed; 32]).unwrap();
        let key = PublicKey::new(network, &key).unwrap();
        let params = params();
        let rules = Rules { network, suite: 1, fees: params.fees, limits: params.limits };
        let keys = AdmittedKeys::only(key.id());
        let secret = |byte| SecretKey::from_slice(&[byte; 32]).unwrap();
        Self { key, rules, keys, curve: Secp256k1::new(), alice: secret(1), mallory: secret(2) }
    }

    fn address(&self, secret: &SecretKey) -> PayerAddress {
        address(&secret.public_key(&self.curve))
    }

    fn header(&self, payer: PayerAddress) -> BundleHeader {
        BundleHeader {
            network: self.rules.network,
            suite: 1,
            key_id: self.keys.current,
            payer,
            nonce: BundleNonce { lane: 0, sequence: 0 },
            max_fee: Gwei::new(2_000),
            priority_fee: Gwei::new(10),
            valid_until: Height::new(50),
            body_bytes: 0,
        }
    }

    fn sealed(&self) -> EncryptedBundle {
        let rng = ChaCha20Rng::seed_from_u64(9);
        let legs = [Leg { rollup: RollupId::new(901), transaction: vec![1; 100] }];
        let header = self.header(self.address(&self.alice));
        let sealed = seal(self.key.sealing_key(), header, &legs, rng).unwrap();
        let unsigned = EncryptedBundle {
            header: sealed.header,
            capsule: sealed.capsule,
            body: sealed.body,
            signature: PayerSignature::new([0; 65]),
        };
        self.signed(unsigned, &self.alice)
    }

    fn signed(&self, mut bundle: EncryptedBundle, secret: &SecretKey) -> EncryptedBundle {
        let message = Message::from_digest(*bundle.signing_digest().as_bytes());
        let (id, compact) = self.curve.sign_ecdsa_recoverable(&message, secret).serialize_compact();
        let v = 27 + u8::try_from(i32::from(id)).unwrap();
        bundle.signature = PayerSignature::new([&compact[..], &[v]].concat().try_into().unwrap());
        bundle
    }

    fn refuses(&self, cases: &[(&str, Change, AdmissionError)]) {
        for (name, change, expected) in cases {
            let mut bundle = self.sealed();
            change(&mut bundle);
            let found = check_form(&bundle, &self.rules, &self.keys, DECIDED);
            assert_eq!(found.as_ref(), Err(expected), "{name}");
        }
    }

    fn judge(&self, bundles: Vec<EncryptedBundle>) -> Vec<Result<Verified, AdmissionError>> {
        let bundles: Vec<_> = bundles.into_iter().map(Arc::new).collect();
        verify(&bundles, self.key.sealing_key(), &SEED)
    }

    fn verdict(&self, bundle: EncryptedBundle) -> Result<Verified, AdmissionError> {
        self.judge(vec![bundle]).remove(0)
    }
}

#[test]
fn a_sealed_and_signed_bundle_is_admitted() {
    let world = World::new();
    let bundle = world.sealed();
    assert_eq!(check_form(&bundle, &world.rules, &world.keys, DECIDED), Ok(()));
    let verified = world.verdict(bundle.clone()).unwrap();
    assert_eq!(verified.id(), bundle.id());
    assert_eq!(verified.encapsulation().u().as_bytes()[..], bundle.capsule[..48]);
}

#[test]
fn the_address_is_ethereums() {
    // The first account of the well-known test mnemonic "test test … junk".
    let secret: SecretKey =
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().unwrap();
    let expected: PayerAddress = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266".parse().unwrap();
    assert_eq!(address(&secret.public_key(&Secp256k1::new())), expected);
}

#[test]
fn a_bundle_for_another_network_suite_or_key_is_refused() {
    let world = World::new();
    let rules = &world.rules;
    world.refuses(&[
        (
            "another network",
            |b| b.header.network = NetworkId::ZERO,
            AdmissionError::Network { expected: rules.network, found: NetworkId::ZERO },
        ),
        ("another suite", |b| b.header.suite = 2, AdmissionError::Suite { expected: 1, found: 2 }),
        (
            "another key",
            |b| b.header.key_id = KeyId::ZERO,
            AdmissionError::Key { expected: world.keys.current, found: KeyId::ZERO },
        ),
    ]);
}

#[test]
fn a_bundle_of_a_wrong_size_is_refused() {
    World::new().refuses(&[
        (
            "an oversized capsule",
            |b| b.capsule = vec![0; 513],
            AdmissionError::CapsuleLength { expected: 512, found: 513 },
        ),
        (
            "a truncated body",
            |b| b.body.truncate(271),
            AdmissionError::BodyLength { expected: 272, found: 271 },
        ),
        (
            "a body that is no bucket",
            |b| (b.body, b.header.body_bytes) = (vec![0; 273], 273),
            AdmissionError::Bucket { found: 273 },
        ),
        (
            "an empty body",
            |b| (b.body, b.header.body_bytes) = (vec![], 0),
            AdmissionError::Bucket { found: 0 },
        ),
        (
            "a body beyond the largest bucket",
            |b| (b.body, b.header.body_bytes) = (vec![0; 262_160], 262_160),
            AdmissionError::Bucket { found: 262_160 },
        ),
    ]);
}

#[test]
fn a_bundle_that_is_late_too_long_lived_or_too_cheap_is_refused() {
    let height = Height::new;
    World::new().refuses(&[
        (
            "expired",
            |b| b.header.valid_until = Height::new(10),
            AdmissionError::Expired { expected: height(11), found: height(10) },
        ),
        (
            "valid for ever",
            |b| b.header.valid_until = Height::new(u64::MAX),
            AdmissionError::Lifetime { expected: height(10_010), found: height(u64::MAX) },
        ),
        (
            "valid for one block too long",
            |b| b.header.valid_until = Height::new(10_011),
            AdmissionError::Lifetime { expected: height(10_010), found: height(10_011) },
        ),
        (
            "paying too little",
            |b| b.header.max_fee = Gwei::new(1_009),
            AdmissionError::Fee { expected: Gwei::new(1_010), found: Gwei::new(1_009) },
        ),
        (
            "paying nothing",
            |b| b.header.max_fee = Gwei::ZERO,
            AdmissionError::Fee { expected: Gwei::new(1_010), found: Gwei::ZERO },
        ),
        (
            "promising more than exists",
            |b| b.header.priority_fee = Gwei::new(u64::MAX),
            AdmissionError::Fee { expected: Gwei::new(u64::MAX), found: Gwei::new(2_000) },
        ),
    ]);
}

#[test]
fn the_edges_of_form_are_inside() {
    let mut world = World::new();
    world.rules.limits.bundle_lifetime_max = HeightDelta::new(5);
    let mut bundle = world.sealed();
    for last in [11, 15] {
        bundle.header.valid_until = Height::new(last);
        assert_eq!(check_form(&bundle, &world.rules, &world.keys, DECIDED), Ok(()), "until {last}");
    }
    bundle.header.max_fee = Gwei::new(1_010);
    assert_eq!(check_form(&bundle, &world.rules, &world.keys, DECIDED), Ok(()));
    world.rules.limits.block_bytes_max = 271;
    let expected = AdmissionError::BlockLimit { expected: 271, found: 272 };
    assert_eq!(check_form(&bundle, &world.rules, &world.keys, DECIDED), Err(expected));
    assert_eq!(bucket_for(100), Some(256), "the smallest bucket and its tag are 272 bytes");
}

#[test]
fn every_field_is_under_the_signature() {
    let world = World::new();
    let cases: [(&str, Change); 10] = [
        ("suite", |b| b.header.suite = 2),
        ("key", |b| b.header.key_id = KeyId::ZERO),
        ("network", |b| b.header.network = NetworkId::ZERO),
        ("lane", |b| b.header.nonce.lane = 1),
        ("sequence", |b| b.header.nonce.sequence = 1),
        ("price", |b| b.header.max_fee = Gwei::new(u64::MAX)),
        ("priority", |b| b.header.priority_fee = Gwei::new(11)),
        ("expiry", |b| b.header.valid_until = Height::new(51)),
        ("body", |b| b.body[0] ^= 1),
        ("capsule", |b| b.capsule[200] ^= 1),
    ];
    let payer = world.address(&world.alice);
    for (name, change) in cases {
        let mut bundle = world.sealed();
        change(&mut bundle);
        match world.verdict(bundle) {
            Err(AdmissionError::Payer { expected, found }) => {
                assert_eq!(expected, payer, "{name}");
                assert_ne!(found, payer, "{name}");
            }
            other => {
                assert_eq!(other, Err(AdmissionError::Signature(SignatureError::NoKey)), "{name}")
            }
        }
    }
}

#[test]
fn a_stolen_ciphertext_is_worth_nothing_under_another_payer() {
    let world = World::new();
    let mut stolen = world.sealed();
    stolen.header.payer = world.address(&world.mallory);
    let stolen = world.signed(stolen, &world.mallory);
    assert_eq!(check_form(&stolen, &world.rules, &world.keys, DECIDED), Ok(()));
    assert_eq!(world.verdict(stolen), Err(AdmissionError::Proof));
}

#[test]
fn not_even_the_payer_moves_a_ciphertext_to_another_header() {
    let world = World::new();
    let cases: [(&str, Change); 5] = [
        ("re-priced", |b| b.header.max_fee = Gwei::new(1_500)),
        ("re-prioritised", |b| b.header.priority_fee = Gwei::new(500)),
        ("replayed under the next nonce", |b| b.header.nonce.sequence = 1),
        ("replayed in another lane", |b| b.header.nonce.lane = 1),
        ("prolonged", |b| b.header.valid_until = Height::new(60)),
    ];
    for (name, change) in cases {
        let mut bundle = world.sealed();
        change(&mut bundle);
        let bundle = world.signed(bundle, &world.alice);
        assert_eq!(check_form(&bundle, &world.rules, &world.keys, DECIDED), Ok(()), "{name}");
        assert_eq!(world.verdict(bundle), Err(AdmissionError::Proof), "{name}");
    }
    let mut mauled = world.sealed();
    mauled.body[3] ^= 1;
    assert_eq!(world.verdict(world.signed(mauled, &world.alice)), Err(AdmissionError::Proof));
}

#[test]
fn a_bundle_of_another_network_or_key_is_worth_nothing_here() {
    let here = World::new();
    for there in [World::on(NetworkId::new([8; 32]), 1), World::on(here.rules.network, 2)] {
        let foreign = there.sealed();
        assert!(check_form(&foreign, &here.rules, &here.keys, DECIDED).is_err());
        let mut relabelled = foreign;
        relabelled.header.network = here.rules.network;
        relabelled.header.key_id = here.keys.current;
        let relabelled = here.signed(relabelled, &here.alice);
        assert_eq!(check_form(&relabelled, &here.rules, &here.keys, DECIDED), Ok(()));
        assert_eq!(here.verdict(relabelled), Err(AdmissionError::Proof));
    }
}

#[test]
fn a_replayed_bundle_is_refused_before_and_after_its_block() {
    let world = World::new();
    let bundle = Arc::new(world.sealed());
    let verified = world.verdict((*bundle).clone()).unwrap();
    let mut ledger = Ledger::new(&genesis(&[(bundle.header.payer, 5_000)]));
    let mut pool = Pool::new(PoolBounds::default(), &params());
    let now = conclave_types::Time::ZERO;
    assert_eq!(pool.insert(bundle.clone(), verified, now, &ledger), Ok(vec![]));
    let again = pool.insert(bundle.clone(), verified, now, &ledger);
    assert_eq!(again, Err(PoolError::Known(bundle.id())));
    let charges = ledger.check_block(&[&bundle.header], &params()).unwrap();
    ledger.apply(&turn(DECIDED, &charges)).unwrap();
    pool.remove_included(&charges, [], &ledger);
    let payer = bundle.header.payer;
    let used = PoolError::Used { payer, lane: 0, expected: 1, found: 0 };
    assert_eq!(pool.precheck(&bundle, &bundle.id(), &ledger), Err(used));
    let charged = LedgerError::Nonce { payer, lane: 0, expected: 1, found: 0 };
    assert_eq!(ledger.check_block(&[&bundle.header], &params()), Err(charged));
}

#[test]
fn points_off_the_curve_the_subgroup_or_at_infinity_are_refused() {
    let world = World::new();
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    // x = 0 gives y = ±2: on the curve, of order 3.
    let mut order_three = [0; 48];
    order_three[0] = 0x80;
    let points = [
        ("zeros", [0; 48]),
        ("ones", [0xff; 48]),
        ("infinity", infinity),
        ("order 3", order_three),
    ];
    for (name, point) in points {
        for (at, part) in [(0, "u"), (48, "ū")] {
            let mut bundle = world.sealed();
            bundle.capsule[at..at + 48].copy_from_slice(&point);
            let expected = AdmissionError::Capsule(CapsuleError::Point(part));
            assert_eq!(
                world.verdict(world.signed(bundle, &world.alice)),
                Err(expected),
                "{part} {name}"
            );
        }
    }
    for length in [0, 1, 223, 225, 512] {
        let mut bundle = world.sealed();
        bundle.capsule.resize(length, 0);
        let expected =
            AdmissionError::Capsule(CapsuleError::Length { expected: 256, found: length });
        assert_eq!(world.verdict(world.signed(bundle, &world.alice)), Err(expected));
    }
}

#[test]
fn a_signature_has_one_form() {
    let world = World::new();
    let good = world.sealed();
    let bytes = *good.signature.as_bytes();
    let with = |bytes: [u8; 65]| {
        let signature = PayerSignature::new(bytes);
        world.verdict(EncryptedBundle { signature, ..good.clone() })
    };
    for v in [0, 1, 26, 29, 255] {
        let mut other = bytes;
        other[64] = v;
        let expected = AdmissionError::Signature(SignatureError::RecoveryId(v));
        assert_eq!(with(other), Err(expected));
    }
    // The twin: n − s, with the other parity. Valid ECDSA, and another bundle id.
    let s = SecretKey::from_slice(&bytes[32..64]).unwrap().negate();
    let mut twin = bytes;
    twin[32..64].copy_from_slice(&s.secret_bytes());
    twin[64] = if bytes[64] == 27 { 28 } else { 27 };
    assert_eq!(with(twin), Err(AdmissionError::Signature(SignatureError::HighS)));
    let mut swapped = bytes;
    swapped[64] = twin[64];
    assert!(matches!(with(swapped), Err(AdmissionError::Payer { .. })));
    for garbage in [0x00, 0xff] {
        let mut other = [garbage; 65];
        other[64] = 27;
        let expected = AdmissionError::Signature(SignatureError::NoKey);
        assert_eq!(with(other), Err(expected));
    }
}

#[test]
fn one_bad_bundle_does_not_spoil_its_neighbours() {
    let world = World::new();
    let good = world.sealed();
    let mut unsigned = good.clone();
    unsigned.signature = PayerSignature::new([0; 65]);
    let mut unproved = good.clone();
    unproved.header.nonce.lane = 5;
    let unproved = world.signed(unproved, &world.alice);
    let mut malformed = good.clone();
    malformed.capsule.clear();
    let malformed = world.signed(malformed, &world.alice);
    let verdicts = world.judge(vec![unsigned, good.clone(), malformed, unproved, good.clone()]);
    let verified = world.verdict(good).unwrap();
    assert_eq!(
        verdicts,
        vec![
            Err(AdmissionError::Signature(SignatureError::RecoveryId(0))),
            Ok(verified),
            Err(AdmissionError::Capsule(CapsuleError::Length { expected: 256, found: 0 })),
            Err(AdmissionError::Proof),
            Ok(verified),
        ]
    );
    assert_eq!(world.judge(vec![]), vec![]);
}

#[test]
fn only_a_lifetime_may_be_asked_for_again() {
    let (expected, found) = (Height::new(1), Height::new(2));
    assert!(!AdmissionError::Lifetime { expected, found }.is_permanent());
    assert!(AdmissionError::Expired { expected: found, found: expected }.is_permanent());
    assert!(AdmissionError::Proof.is_permanent());
}

#[test]
fn a_wallets_signature_leads_to_its_payer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/types-v1.json");
    let all: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let row = &all["bundle"];
    let text = |name: &str| row[name].as_str().unwrap();
    let number = |name: &str| row[name].as_u64().unwrap();
    let bytes = |name| hex::decode(text(name).trim_start_matches("0x")).unwrap();
    let bundle = EncryptedBundle {
        header: BundleHeader {
            network: all["domain"]["network"].as_str().unwrap().parse().unwrap(),
            suite: 1,
            key_id: text("key_id").parse().unwrap(),
            payer: text("payer").parse().unwrap(),
            nonce: BundleNonce { lane: number("lane"), sequence: number("sequence") },
            max_fee: Gwei::new(number("max_fee_gwei")),
            priority_fee: Gwei::new(number("priority_fee_gwei")),
            valid_until: Height::new(number("valid_until")),
            body_bytes: 272,
        },
        capsule: bytes("capsule"),
        body: bytes("body"),
        signature: PayerSignature::new(bytes("signature").try_into().unwrap()),
    };
    assert_eq!(check_payer(&Secp256k1::verification_only(), &bundle), Ok(()));
}
