use conclave_types::{Era, G1Bytes, G2Bytes, NetworkId};
use group::Group;

use super::*;
use crate::{KeyError, PackingError, SealingKey, ShareError};

fn a_dealt_key_parses_and_every_share_matches_its_party_only(suite: Suite) {
    for parties in [1, 2, 3, 4, 7, 16, 31] {
        let committee = committee(suite, parties);
        assert_eq!(usize::from(committee.key.packing().parties()), parties);
        assert_eq!(committee.key.id(), committee.raw.id(&network()));
        for (party, share) in (0_u16..).zip(&committee.shares) {
            assert!(share.matches(&committee.key, party));
            let other = (party + 1) % committee.key.packing().parties();
            assert_eq!(share.matches(&committee.key, other), parties == 1);
            assert!(!share.matches(&committee.key, u16::MAX));
        }
    }
}

fn c_plus_one_key_shares_give_the_key_and_that_is_the_documented_limit(suite: Suite) {
    for parties in [1, 2, 3, 4, 7, 16, 31] {
        let committee = committee(suite, parties);
        let found = G1Projective::generator() * committee.secret;
        assert_eq!(bytes(found), committee.raw.public_key, "n = {parties}");
    }
}

fn a_stale_share_does_not_match(suite: Suite) {
    let committee = committee(suite, 4);
    let (_, stale) = deal(suite, committee.key.packing(), Era::ZERO, rng(9));
    assert!(!stale[0].matches(&committee.key, 0));
}

fn a_share_reads_back_and_a_number_above_the_order_is_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let read = SecretShare::from_bytes(&committee.shares[2].to_bytes()).unwrap();
    assert!(read.matches(&committee.key, 2));
    assert_eq!(SecretShare::from_bytes(&[0xff; 32]).unwrap_err(), ShareError::NotCanonical);
    // The order itself is the smallest number that is not canonical.
    let mut order = (-Scalar::ONE).to_bytes_be();
    order[31] += 1;
    assert_eq!(SecretShare::from_bytes(&order).unwrap_err(), ShareError::NotCanonical);
}

fn debug_output_shows_no_secret(suite: Suite) {
    let committee = committee(suite, 4);
    for share in &committee.shares {
        let shown = format!("{share:?} {share:#?}");
        assert_eq!(shown, "SecretShare(…) SecretShare(…)");
    }
    let shown = format!("{:?} {:?}", committee.key, committee.key.sealing_key());
    for share in &committee.shares {
        assert!(!shown.contains(&hex::encode(&share.to_bytes()[..4])));
    }
}

fn public_keys_of_different_secrets_are_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let (other, _) = deal(suite, committee.key.packing(), Era::ZERO, rng(9));
    let key = EncryptionKey { public_key_g2: other.public_key_g2, ..committee.raw.clone() };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Disagree);
    let key = EncryptionKey { public_key: other.public_key, ..committee.raw };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Disagree);
    let (pk, pk_g2) = (key.public_key, key.public_key_g2);
    let sealing = SealingKey::new(network(), suite.number(), Era::ZERO, pk, pk_g2);
    assert_eq!(sealing.unwrap_err(), KeyError::Disagree);
}

fn points_that_are_none_are_refused_in_every_place(suite: Suite) {
    let raw = committee(suite, 4).raw;
    let outside = bytes(point(&raw.public_key) + torsion(3));
    for pk in [outside, infinity(), G1Bytes::ZERO, G1Bytes::new([0xff; 48])] {
        let key = EncryptionKey { public_key: pk, ..raw.clone() };
        assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::PublicKey);
    }
    let infinity = G2Bytes::new(G2Affine::identity().to_compressed());
    for bad in [g2_outside(), infinity, G2Bytes::ZERO, G2Bytes::new([0xff; 96])] {
        let key = EncryptionKey { public_key_g2: bad, ..raw.clone() };
        assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::PublicKeyG2);
        for party in 0..4 {
            let mut key = raw.clone();
            key.verification_keys[party] = bad;
            // Infinity is a share of zero, which a sharing may have, but this one has not.
            let expected = if bad == infinity {
                KeyError::NotASharing
            } else {
                KeyError::VerificationKey { party }
            };
            assert_eq!(PublicKey::new(network(), &key).unwrap_err(), expected);
        }
    }
}

#[test]
fn an_unknown_suite_or_other_numbers_are_refused() {
    let raw = committee(Suite::Packed, 16).raw;
    for found in [0, 3, 0xff] {
        let key = EncryptionKey { suite: found, ..raw.clone() };
        assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Suite { found });
    }
    // A packed sharing is none of the baseline's.
    let key = EncryptionKey { suite: 2, ..raw.clone() };
    let expected = PackingError::Unpacked { found: 2 };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Packing(expected));
    let key = EncryptionKey { packing: 3, ..raw.clone() };
    let expected = PackingError::Packing { expected: 2, found: 3 };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Packing(expected));
    let key = EncryptionKey { secrecy: 4, ..raw.clone() };
    assert!(matches!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Packing(_)));
    let key = EncryptionKey { verification_keys: Vec::new(), ..raw };
    let expected = PackingError::Parties { found: 0 };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::Packing(expected));
}

fn verification_keys_that_are_no_sharing_of_the_key_are_refused(suite: Suite) {
    for parties in [4, 7, 16] {
        let raw = committee(suite, parties).raw;
        let (other, _) = deal(suite, suite.packing(parties, 0).unwrap(), Era::ZERO, rng(9));
        for party in 0..parties {
            let mut key = raw.clone();
            key.verification_keys[party] = other.verification_keys[party];
            assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::NotASharing);
        }
        let mut key = raw.clone();
        key.verification_keys.swap(0, 1);
        assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::NotASharing);
        // A sound sharing, of another secret.
        let key = EncryptionKey { verification_keys: other.verification_keys, ..raw };
        assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::NotASharing);
    }
    if suite == Suite::Baseline {
        return;
    }
    // A polynomial of too high a degree: dealt for more secrecy than the key says.
    let (raw, _) = deal(Suite::Packed, Packing::new(16, 8).unwrap(), Era::ZERO, rng(9));
    let key = EncryptionKey { secrecy: 6, packing: 3, ..raw };
    assert_eq!(PublicKey::new(network(), &key).unwrap_err(), KeyError::NotASharing);
}

fn the_key_id_tells_networks_and_eras_apart(suite: Suite) {
    let raw = committee(suite, 4).raw;
    let id = |network: u8, era: u32| {
        let (pk, pk_g2) = (raw.public_key, raw.public_key_g2);
        let network = NetworkId::new([network; 32]);
        SealingKey::new(network, suite.number(), Era::new(era), pk, pk_g2).unwrap().id()
    };
    assert_ne!(id(1, 0), id(2, 0));
    assert_ne!(id(1, 0), id(1, 1));
}

both_suites! {
    a_dealt_key_parses_and_every_share_matches_its_party_only,
    c_plus_one_key_shares_give_the_key_and_that_is_the_documented_limit,
    a_stale_share_does_not_match,
    a_share_reads_back_and_a_number_above_the_order_is_refused,
    debug_output_shows_no_secret,
    public_keys_of_different_secrets_are_refused,
    points_that_are_none_are_refused_in_every_place,
    verification_keys_that_are_no_sharing_of_the_key_are_refused,
    the_key_id_tells_networks_and_eras_apart,
}
