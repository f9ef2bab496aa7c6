use conclave_types::{Deposit, Gwei, L1Content, PayerAddress};

use super::*;

const HASH: Digest = Digest::new([0xaa; 32]);

fn hash(number: u64) -> Digest {
    Digest::new([u8::try_from(number % 251).unwrap(); 32])
}

fn entry(index: u64, l1_block: u64) -> L1Entry {
    let deposit = Deposit { payer: PayerAddress::new([1; 20]), amount: Gwei::new(7) };
    L1Entry { index, l1_block, content: L1Content::Deposit(deposit) }
}

/// Block `number` with the entries `from..to` of the queue, on the chain that starts at block 10.
fn block(number: u64, from: u64, to: u64) -> L1Block {
    let parent = if number == 11 { HASH } else { hash(number - 1) };
    let entries = (from..to).map(|index| entry(index, number)).collect();
    L1Block { origin: L1Origin { number, hash: hash(number) }, parent, entries }
}

fn view() -> L1View {
    L1View::new(L1Origin { number: 10, hash: HASH }, 3)
}

#[test]
fn observations_are_taken_in_order_and_once() {
    let mut view = view();
    assert_eq!(view.observe(block(11, 3, 5)), Ok(()));
    assert_eq!(view.observe(block(12, 5, 5)), Ok(()));
    assert_eq!(view.observe(block(11, 3, 5)), Ok(()), "again, and it changes nothing");
    assert_eq!(view.observe(block(13, 5, 6)), Ok(()));
    let expected = L1Position {
        origin: L1Origin { number: 10, hash: HASH },
        forced_cursor: 3,
        observed: L1Origin { number: 13, hash: hash(13) },
        has_room: true,
    };
    assert_eq!(view.position(), expected);
    assert_eq!(view.bytes, 3 * 40);
}

#[test]
fn what_does_not_follow_is_refused_and_says_why() {
    let index = |expected, found| L1Refusal::Entries(L1EntryError::Index { expected, found });
    let mut foreign = block(11, 3, 3);
    foreign.origin.number = 12;
    foreign.parent = hash(77);
    let mut strange = block(12, 5, 6);
    strange.entries[0].l1_block = 11;
    let of_another = L1EntryError::Block { index: 5, least: 12, most: 12, found: 11 };
    let cases = [
        (block(13, 5, 5), L1Refusal::NotNext { expected: 12, found: 13 }),
        (foreign, L1Refusal::Parent { number: 12, expected: hash(11), found: hash(77) }),
        (block(12, 6, 7), index(5, 6)),
        (block(12, 4, 5), index(5, 4)),
        (strange, L1Refusal::Entries(of_another)),
        (block(11, 3, 4), L1Refusal::Changed { number: 11, expected: hash(11), found: hash(11) }),
        (block(10, 0, 0), L1Refusal::Changed { number: 10, expected: HASH, found: hash(10) }),
    ];
    for (block, refusal) in cases {
        let mut view = view();
        assert_eq!(view.observe(self::block(11, 3, 5)), Ok(()));
        let before = view.position();
        assert_eq!(view.observe(block), Err(refusal));
        assert_eq!(view.position(), before);
    }
    assert_eq!(view().observe(block(9, 0, 9)), Ok(()), "what is behind the chain is old news");
}

#[test]
fn only_so_much_is_held() {
    let mut view = view();
    for number in 11..11 + 1_024 {
        assert!(view.position().has_room);
        assert_eq!(view.observe(block(number, 3, 3)), Ok(()));
    }
    assert!(!view.position().has_room);
    assert_eq!(view.observe(block(1_035, 3, 3)), Err(L1Refusal::Full { blocks: 1_024 }));
}
