use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// One message of every kind.
fn samples() -> &'static [Message] {
    static SAMPLES: OnceLock<Vec<Message>> = OnceLock::new();
    SAMPLES.get_or_init(make_samples)
}

fn make_samples() -> Vec<Message> {
    let session = session(&[1; 4]);
    let (mut dkg, keys) = registered(&session, |_| true);
    let wrong = rogue(&dkg, 0, |dealing| spoil(dealing, 1));
    post(&mut dkg, wrong.clone()).unwrap();
    let complaint = dkg.complaints(&keys[1]).remove(0);
    let old = Run::fresh(&[1; 4]);
    let (resharing, _) = registered(&reshare(&old, &[1; 4], 2), |_| true);
    let value = proof::ScalarBytes::new(&Scalar::from(3));
    vec![
        Message::Register(keys[0].registration(&session)),
        Message::Deal(Box::new(wrong)),
        Message::Deal(Box::new(resharing.reshare(0, old.share(0), &SEED).unwrap())),
        Message::Complain(complaint),
        Message::Disclose(Disclosure { dealer: 1, point: 2, value }),
        Message::Acknowledge(Digest::new([7; 32])),
    ]
}

#[test]
fn a_message_has_one_encoding() {
    for message in samples() {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).as_ref().unwrap(), message);
        for end in 0..bytes.len() {
            assert!(matches!(Message::decode(&bytes[..end]), Err(MessageError::Encoding(_))));
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(Message::decode(&longer), Err(MessageError::Encoding(_))));
    }
    let found = Message::BYTES_MAX + 1;
    let error = Message::decode(&vec![0; found]).unwrap_err();
    assert!(matches!(error, MessageError::Length { found: length } if length == found));
}

#[test]
fn a_dealing_has_the_size_that_is_computed_and_the_largest_fits_a_message() {
    let samples = samples();
    let packing = Packing::for_parties(4).unwrap();
    for (message, fresh) in samples[1..3].iter().zip([true, false]) {
        // The message's tag is one byte.
        assert_eq!(message.encode().len(), 1 + Dealing::size(packing, 4, fresh));
    }
    let largest = Packing::new(Packing::PARTIES_MAX, 682).unwrap();
    assert!(Dealing::size(largest, Packing::PARTIES_MAX, true) < Message::BYTES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_makes_the_state_panic(
        at in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        from in 0_u16..6,
        stage in 0_usize..4,
    ) {
        let samples = samples();
        let mut bytes = samples[at.index(samples.len())].encode();
        for (at, mask) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        static STAGES: OnceLock<Vec<Dkg>> = OnceLock::new();
        let mut dkg = STAGES.get_or_init(|| {
            let session = session(&[1; 4]);
            let dealing = registered(&session, |_| true).0;
            let mut complaining = dealing.clone();
            complaining.close_dealing().unwrap();
            vec![Dkg::new(session), dealing, complaining, Run::fresh(&[1; 4]).dkg]
        })[stage]
            .clone();
        if let Ok(message) = Message::decode(&bytes) {
            let before = format!("{dkg:?}");
            if dkg.apply(v(from), &message).is_err() {
                prop_assert_eq!(format!("{dkg:?}"), before);
            }
        }
    }
}
