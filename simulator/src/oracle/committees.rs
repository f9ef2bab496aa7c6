//! Committees: who decides in which epoch follows from what L1 has offered and from when the validators say
//! that they begin to share the key anew. Whoever is no member signs nothing, and nothing is decided without
//! more than two thirds of the power of the committee whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::L1Block;
use conclave_types::{
    Certificate, ConsensusKey, Digest, Epoch, Genesis, Height, Member, SettlementKey,
    ValidatorIndex,
};

use super::{Check, MEMBER, QUORUM, ensure, office::Seats, settlement::committee};

/// Members with their power.
pub(super) type Powers = BTreeMap<u16, u64>;

static NOBODY: Powers = Powers::new();

/// A committee that L1 has offered.
#[derive(Clone, Debug)]
struct Offered {
    /// In which block.
    block: u64,
    epoch: Epoch,
    members: Vec<Member>,
}

/// A committee that has been or is to be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elected {
    powers: Powers,
    keys: BTreeMap<u16, ConsensusKey>,
    /// With which they attest.
    settlement: BTreeMap<u16, SettlementKey>,
    /// As L1 knows it.
    digest: Digest,
}

/// Machines of validators that change their keys: whose each is, and the key that it has. Any other machine is the
/// validator of its number, whatever its key.
pub(crate) type Machines = BTreeMap<u16, (u16, ConsensusKey)>;

/// Committees as L1 and time make them.
#[derive(Clone, Debug)]
pub(super) struct Committees {
    machines: Machines,
    /// Those of each number in the stake contract that has come up, in the order in which they did.
    known: Vec<u32>,
    offered: Vec<Offered>,
    /// For whom an epoch's key is being made.
    attempts: BTreeMap<Epoch, Elected>,
    /// The committee from each of these heights on.
    terms: BTreeMap<Height, Elected>,
    /// At which of them each epoch begins.
    begun: BTreeMap<Epoch, Height>,
}

impl Committees {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let members = (0_u16..).zip(&genesis.members);
        let first = Elected {
            powers: members.clone().map(|(index, member)| (index, member.power)).collect(),
            settlement: members.clone().map(|(index, m)| (index, m.settlement_key)).collect(),
            keys: members.map(|(index, member)| (index, member.consensus_key)).collect(),
            digest: committee(&genesis.members),
        };
        Self {
            machines: Machines::new(),
            known: genesis.members.iter().map(|member| member.validator).collect(),
            offered: Vec::new(),
            attempts: BTreeMap::new(),
            terms: [(Height::ZERO, first)].into(),
            begun: [(Epoch::ZERO, Height::ZERO)].into(),
        }
    }

    pub(super) fn l1_final(&mut self, block: &L1Block) {
        for offer in &block.offers {
            let (block, epoch, members) = (block.origin.number, offer.epoch, offer.members.clone());
            self.offered.push(Offered { block, epoch, members });
        }
    }

    /// An attempt at an epoch's key begins with a block that builds on L1 block `origin`: it is for those who
    /// were offered last, or for whoever decides now.
    pub(super) fn attempt(&mut self, epoch: Epoch, origin: u64) {
        let fits = |offer: &&Offered| offer.block <= origin && offer.epoch == epoch;
        let offer = self.offered.iter().rev().find(fits).filter(|_| epoch > Epoch::new(1));
        let Some(Offered { members, .. }) = offer.cloned() else {
            self.attempts.extend(self.newest().map(|newest| (epoch, newest)));
            return;
        };
        let (mut powers, mut keys) = (Powers::new(), BTreeMap::new());
        let mut settlement = BTreeMap::new();
        for Member { validator: number, power, consensus_key, settlement_key, .. } in &members {
            let known = self.known.iter().position(|known| known == number);
            let index = known.unwrap_or(self.known.len());
            if known.is_none() {
                self.known.push(*number);
            }
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            powers.insert(index, *power);
            keys.insert(index, *consensus_key);
            settlement.insert(index, *settlement_key);
        }
        let digest = committee(&members);
        self.attempts.insert(epoch, Elected { powers, keys, settlement, digest });
    }

    pub(super) fn begins(&mut self, epoch: Epoch, first: Height) {
        // Nobody tells of the attempt that the genesis begins: it is for the first committee.
        let elected = self.attempts.get(&epoch).cloned().or_else(|| self.newest());
        self.terms.extend(elected.map(|elected| (first, elected)));
        self.begun.insert(epoch, first);
    }

    /// The epoch of a height.
    pub(super) fn epoch_of(&self, height: Height) -> Epoch {
        let begun = self.begun.iter().rev().find(|(_, first)| **first <= height);
        begun.map_or(Epoch::ZERO, |(epoch, _)| *epoch)
    }

    /// Who decides in an epoch, by number in the stake contract; none if nobody has told of its beginning.
    pub(super) fn seats(&self, epoch: Epoch) -> Option<Seats> {
        let Elected { powers, keys, settlement, .. } = self.terms.get(self.begun.get(&epoch)?)?;
        let seat = |(index, power): (&u16, &u64)| {
            let keys = (*keys.get(index)?, *settlement.get(index)?);
            Some((*self.known.get(usize::from(*index))?, (keys.0, keys.1, *power)))
        };
        powers.iter().map(seat).collect()
    }

    /// Who decides a height.
    pub(super) fn at(&self, height: Height) -> &Powers {
        let term = self.terms.range(..=height).next_back();
        term.map_or(&NOBODY, |(_, elected)| &elected.powers)
    }

    /// Who decides the height after this one, as L1 knows it, if an epoch begins there.
    pub(super) fn next_after(&self, height: Height) -> Option<Digest> {
        self.terms.get(&height.next()).map(|elected| elected.digest)
    }

    /// The number in the stake contract of a validator; 0 if it has none.
    pub(super) fn number(&self, validator: u16) -> u32 {
        self.known.get(usize::from(validator)).copied().unwrap_or(0)
    }

    fn newest(&self) -> Option<Elected> {
        self.terms.values().next_back().cloned()
    }

    /// With which key a validator attests a height; none if it is no member there.
    pub(super) fn attests(&self, validator: u16, height: Height) -> Option<SettlementKey> {
        let (_, elected) = self.terms.range(..=height).next_back()?;
        elected.settlement.get(&validator).copied()
    }

    /// How many committees differ from the one before.
    pub(super) fn changes(&self) -> u64 {
        let pairs = self.terms.values().zip(self.terms.values().skip(1));
        u64::try_from(pairs.filter(|(one, next)| one != next).count()).unwrap_or(u64::MAX)
    }

    /// These machines are of validators that change their keys.
    pub(super) fn learn_machines(&mut self, machines: Machines) {
        self.machines = machines;
    }

    /// Whose machine a node is.
    pub(super) fn validator(&self, node: u16) -> u16 {
        self.machines.get(&node).map_or(node, |(validator, _)| *validator)
    }

    /// Whether a node may sign for its validator at a height: of two machines, the one whose key the committee has.
    pub(super) fn has_seat(&self, node: u16, height: Height) -> bool {
        let term = self.terms.range(..=height).next_back();
        term.is_some_and(|(_, elected)| elected.seats(node, &self.machines))
    }

    /// From which height on a node does not sign for its validator any more, for good as far as anybody knows.
    pub(super) fn left_at(&self, node: u16) -> Option<Height> {
        let after = self.terms.iter().rev();
        let after = after.take_while(|(_, elected)| !elected.seats(node, &self.machines));
        after.last().map(|(first, _)| *first)
    }

    /// An honest validator has signed something about a height.
    pub(super) fn signs(&self, node: u16, height: Height, what: &str) -> Check {
        ensure(self.has_seat(node, height), MEMBER, || {
            format!(
                "validator {node} sends its {what} for height {height}, whose committee it is not in"
            )
        })
    }

    /// A height is decided by these.
    pub(super) fn decided(&self, certificate: &Certificate) -> Check {
        let height = certificate.height;
        let powers = self.at(height);
        let signers: BTreeSet<u16> = certificate
            .signatures
            .iter()
            .map(|(index, _): &(ValidatorIndex, _)| index.as_u16())
            .collect();
        let power = sum(powers, signers.iter());
        let (quorum, stranger) =
            (quorum(powers), signers.iter().find(|signer| !powers.contains_key(signer)));
        ensure(power >= quorum && stranger.is_none(), QUORUM, || {
            format!("height {height} is decided by {signers:?} with power {power} of {powers:?}")
        })
    }
}

impl Elected {
    fn seats(&self, node: u16, machines: &Machines) -> bool {
        match machines.get(&node) {
            None => self.powers.contains_key(&node),
            Some((validator, key)) => self.keys.get(validator) == Some(key),
        }
    }
}

/// The power of some, each counted once.
pub(super) fn sum<'a>(powers: &Powers, who: impl Iterator<Item = &'a u16>) -> u64 {
    let distinct: BTreeSet<u16> = who.copied().collect();
    distinct.iter().filter_map(|index| powers.get(index)).sum()
}

/// The least power that is more than two thirds.
pub(super) fn quorum(powers: &Powers) -> u64 {
    powers.values().sum::<u64>().saturating_mul(2) / 3 + 1
}

#[cfg(test)]
mod tests {
    use conclave_types::{BlockId, CommitteeOffer, L1Origin, Round, SettlementKey, SignatureBytes};

    use super::*;

    fn member(validator: u32, power: u64) -> Member {
        Member {
            name: String::new(),
            consensus_key: ConsensusKey::new([0; 32]),
            network_key: ConsensusKey::new([0; 32]),
            settlement_key: SettlementKey::new([0; 96]),
            validator,
            power,
        }
    }

    fn offer(number: u64, epoch: u64, members: &[(u32, u64)]) -> L1Block {
        let members = members.iter().map(|(validator, power)| member(*validator, *power)).collect();
        L1Block {
            origin: L1Origin { number, hash: Digest::ZERO },
            parent: Digest::ZERO,
            entries: Vec::new(),
            offers: vec![CommitteeOffer { epoch: Epoch::new(epoch), members }],
        }
    }

    fn committees() -> Committees {
        let first = Elected {
            powers: (0..4).map(|index| (index, 1)).collect(),
            keys: (0..4).map(|index| (index, ConsensusKey::new([0; 32]))).collect(),
            settlement: BTreeMap::new(),
            digest: Digest::ZERO,
        };
        let mut committees = Committees {
            machines: Machines::new(),
            known: vec![1, 2, 3, 4],
            offered: Vec::new(),
            attempts: BTreeMap::new(),
            terms: [(Height::ZERO, first)].into(),
            begun: BTreeMap::new(),
        };
        committees.l1_final(&offer(5, 2, &[(2, 1), (3, 1), (4, 1)]));
        committees.l1_final(&offer(7, 2, &[(2, 1), (3, 2), (9, 1)]));
        committees
    }

    fn certificate(height: u64, signers: &[u16]) -> Certificate {
        let signature = SignatureBytes::new([0; 64]);
        let signed = signers.iter().map(|signer| (ValidatorIndex::new(*signer), signature));
        Certificate {
            epoch: Epoch::ZERO,
            height: Height::new(height),
            round: Round::ZERO,
            block: BlockId::ZERO,
            signatures: signed.collect(),
        }
    }

    #[test]
    fn the_newest_offer_that_was_carried_counts_from_the_epochs_first_height_on() {
        for (origin, expected) in [
            (4, vec![(0, 1), (1, 1), (2, 1), (3, 1)]),
            (6, vec![(1, 1), (2, 1), (3, 1)]),
            (7, vec![(1, 1), (2, 2), (4, 1)]),
        ] {
            let mut committees = committees();
            committees.attempt(Epoch::new(2), origin);
            committees.begins(Epoch::new(2), Height::new(10));
            assert_eq!(committees.at(Height::new(9)).len(), 4);
            assert_eq!(*committees.at(Height::new(10)), expected.into_iter().collect());
        }
    }

    #[test]
    fn of_two_machines_the_one_signs_whose_key_the_committee_has() {
        let mut committees = committees();
        let new = ConsensusKey::new([7; 32]);
        committees.learn_machines([(1, (1, ConsensusKey::new([0; 32]))), (5, (1, new))].into());
        let mut offer = offer(8, 2, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
        offer.offers[0].members[1].consensus_key = new;
        committees.l1_final(&offer);
        committees.attempt(Epoch::new(2), 8);
        committees.begins(Epoch::new(2), Height::new(10));
        for (node, height, expected) in
            [(1, 9, true), (5, 9, false), (1, 10, false), (5, 10, true), (0, 10, true)]
        {
            assert_eq!(committees.has_seat(node, Height::new(height)), expected, "{node} {height}");
        }
        assert_eq!(committees.validator(5), 1);
        assert_eq!(committees.left_at(1), Some(Height::new(10)));
        assert_eq!(committees.left_at(5), None);
        assert_eq!(committees.changes(), 1, "the powers are the same, and the keys are not");
    }

    #[test]
    fn strangers_and_too_little_power_are_seen() {
        let mut committees = committees();
        committees.attempt(Epoch::new(2), 7);
        committees.begins(Epoch::new(2), Height::new(10));
        let broken = |check: Check| check.err().map(|violation| violation.promise);
        assert_eq!(broken(committees.signs(4, Height::new(10), "vote")), None);
        assert_eq!(broken(committees.signs(4, Height::new(9), "vote")), Some(MEMBER));
        assert_eq!(broken(committees.signs(0, Height::new(10), "vote")), Some(MEMBER));
        for (height, signers, promise) in [
            (9, vec![0, 1, 2], None),
            (9, vec![0, 1], Some(QUORUM)),
            (9, vec![1, 2, 4], Some(QUORUM)),
            (10, vec![1, 2], None),
            (10, vec![1, 4], Some(QUORUM)),
            (10, vec![0, 1, 2], Some(QUORUM)),
        ] {
            let found = broken(committees.decided(&certificate(height, &signers)));
            assert_eq!(found, promise, "{height}, {signers:?}");
        }
        assert_eq!(committees.changes(), 1);
    }
}
