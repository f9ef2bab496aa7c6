//! The crates that others would take: Baek and Zheng's scheme, where every share is of one ciphertext, everyone
//! combines for itself, and openings are not shown to anyone.
//!
//! "combine" includes decrypting, and there is nothing to check but the shares, one by one ("blame").

use rand_chacha_02::rand_core::SeedableRng as _;
use rand_core::SeedableRng as _;

use crate::{Costs, PAYLOAD_BYTES, least, timed};

/// Ciphertexts measured.
const COUNT: usize = 16;

/// One row of `threshold_crypto`, on the `pairing` crate.
pub(crate) fn threshold_crypto(parties: usize) -> Costs {
    use threshold_crypto::SecretKeySet;

    let mut rng = rand_chacha_02::ChaCha20Rng::from_seed([1; 32]);
    let quorum = parties - (parties - 1) / 3;
    let secrets = SecretKeySet::random(quorum - 1, &mut rng);
    let keys = secrets.public_keys();
    let (key, message) = (keys.public_key(), vec![9; PAYLOAD_BYTES]);
    let (sealed, encrypt) = timed(COUNT, || {
        (0..COUNT).map(|_| key.encrypt_with_rng(&mut rng, &message)).collect::<Vec<_>>()
    });
    let ((), admit) = least(COUNT, || assert!(sealed.iter().all(|sealed| sealed.verify())));
    let mut share = 0.0;
    let shares: Vec<Vec<_>> = (parties - quorum..parties)
        .map(|party| {
            let secret = secrets.secret_key_share(party);
            let (shares, time) = timed(COUNT, || {
                sealed.iter().map(|sealed| secret.decrypt_share_no_verify(sealed)).collect()
            });
            share = time;
            shares
        })
        .collect();
    let first = keys.public_key_share(parties - quorum);
    let ((), blame) = least(COUNT, || {
        let mut pairs = sealed.iter().zip(&shares[0]);
        assert!(pairs.all(|(sealed, share)| first.verify_decryption_share(share, sealed)));
    });
    let ((), combine) = least(COUNT, || {
        for (index, sealed) in sealed.iter().enumerate() {
            let shares = (parties - quorum..parties).zip(&shares);
            let shares = shares.map(|(party, shares)| (party, &shares[index]));
            assert_eq!(keys.decrypt(shares, sealed).unwrap(), message);
        }
    });
    costs("threshold_crypto", [encrypt, admit, share, combine, blame])
}

/// One row of `blsttc`, which is the same scheme on blst.
pub(crate) fn blsttc(parties: usize) -> Costs {
    use blsttc::SecretKeySet;

    let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
    let quorum = parties - (parties - 1) / 3;
    let secrets = SecretKeySet::random(quorum - 1, &mut rng);
    let keys = secrets.public_keys();
    let (key, message) = (keys.public_key(), vec![9; PAYLOAD_BYTES]);
    let (sealed, encrypt) = timed(COUNT, || {
        (0..COUNT).map(|_| key.encrypt_with_rng(&mut rng, &message)).collect::<Vec<_>>()
    });
    let ((), admit) = least(COUNT, || assert!(sealed.iter().all(|sealed| sealed.verify())));
    let mut share = 0.0;
    let shares: Vec<Vec<_>> = (parties - quorum..parties)
        .map(|party| {
            let secret = secrets.secret_key_share(party);
            let (shares, time) = timed(COUNT, || {
                let share = |sealed: &blsttc::Ciphertext| secret.decrypt_share_no_verify(sealed);
                sealed.iter().map(share).collect()
            });
            share = time;
            shares
        })
        .collect();
    let first = keys.public_key_share(parties - quorum);
    let ((), blame) = least(COUNT, || {
        let mut pairs = sealed.iter().zip(&shares[0]);
        assert!(pairs.all(|(sealed, share)| first.verify_decryption_share(share, sealed)));
    });
    let ((), combine) = least(COUNT, || {
        for (index, sealed) in sealed.iter().enumerate() {
            let shares = (parties - quorum..parties).zip(&shares);
            let shares = shares.map(|(party, shares)| (party, &shares[index]));
            assert_eq!(keys.decrypt(shares, sealed).unwrap(), message);
        }
    });
    costs("blsttc", [encrypt, admit, share, combine, blame])
}

fn costs(scheme: &'static str, [encrypt, admit, share, combine, blame]: [f64; 5]) -> Costs {
    Costs {
        scheme,
        bundles: None,
        encrypt,
        admit,
        share,
        combine,
        check: 0.0,
        open: 0.0,
        cooperative: false,
        blame,
        sent: 48.0,
        shown: 0.0,
        speed_up: None,
    }
}
