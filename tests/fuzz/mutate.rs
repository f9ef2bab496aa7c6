//! Mutations of valid input: what a generator of random bytes would not find in a lifetime.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// No mutated input is longer: growth is a mutation too, and must end somewhere.
const BYTES_MAX: usize = 1 << 20;

/// Numbers at which lengths and heights go wrong.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff];

/// An endless, reproducible supply of hostile bytes.
pub(crate) struct Mutator<'a> {
    rng: ChaCha8Rng,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// Starts from `corpus`; the same seed gives the same bytes.
    pub(crate) fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        assert!(!corpus.is_empty(), "there is something to mutate");
        Self { rng: ChaCha8Rng::seed_from_u64(seed), corpus }
    }

    /// A sample, mutated one to six times.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.sample().to_vec();
        for _ in 0..=self.below(5) {
            self.mutate(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below(bytes.len() - at);
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(7),
            1 if at < bytes.len() => bytes[at] = self.rng.next_u32().to_le_bytes()[0],
            2 => self.overwrite_with_edge(bytes, at),
            3 => bytes.truncate(at),
            4 => bytes.extend((0..=self.below(16)).map(|byte| byte.to_le_bytes()[0])),
            5 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => drop(bytes.drain(at..end)),
            7 => {
                let other = self.sample();
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let mut noise = vec![0; end - at];
                self.rng.fill_bytes(&mut noise);
                bytes[at..end].copy_from_slice(&noise);
            }
        }
    }

    /// A length or a number at its edge, in 1, 2, 4 or 8 bytes, in either byte order.
    fn overwrite_with_edge(&mut self, bytes: &mut [u8], at: usize) {
        let edge = EDGES[self.below(EDGES.len() - 1)];
        let width = 1 << self.below(3);
        let little = edge.to_le_bytes();
        let mut field = little[..width].to_vec();
        if self.below(1) == 0 {
            field.reverse();
        }
        for (to, from) in bytes[at..].iter_mut().zip(field) {
            *to = from;
        }
    }

    fn sample(&mut self) -> &'a [u8] {
        let index = self.below(self.corpus.len() - 1);
        &self.corpus[index]
    }

    /// A number from 0 to `max`, both included.
    fn below(&mut self, max: usize) -> usize {
        let span = u64::try_from(max).expect("usize fits") + 1;
        usize::try_from(self.rng.next_u64() % span).expect("at most max")
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let corpus = [b"a sealed bundle".to_vec(), b"a block".to_vec()];
    let draw = |seed| {
        let mut mutator = Mutator::new(seed, &corpus);
        (0..100).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn mutations_reach_truncation_growth_and_untouched_prefixes() {
    let corpus = [vec![0xaa; 64]];
    let mut mutator = Mutator::new(1, &corpus);
    let drawn: Vec<_> = (0..1_000).map(|_| mutator.next()).collect();
    assert!(drawn.iter().any(|bytes| bytes.len() < 32));
    assert!(drawn.iter().any(|bytes| bytes.len() > 80));
    assert!(drawn.iter().any(|bytes| bytes.len() == 64 && bytes[..32] == [0xaa; 32]));
}
