//! Committees that L1 offers, as its events tell of them: whom the chain may elect for its next epoch.
//!
//! An event names a table, which is the code of an account and cannot change: consensus key, number, power and
//! settlement key of each member (`docs/spec/settlement.md`). A member's network key stands in the event with which
//! the validator set its keys; of those the last one counts, up to the block of the offer, that set the keys of the
//! table. So an offer is a function of L1 up to that block. A table without such an event for one of its members
//! has not come about by the contracts, and is no offer.
//!
//! An offer that leaves out members of an elected committee (`offerWithout`) is no offer here: anyone can make one
//! without anyone, and the chain has nothing by which to show who was absent.

use std::collections::BTreeMap;

use alloy::{
    primitives::{B256, Log, U256},
    sol_types::SolEvent as _,
};
use conclave_types::{
    CommitteeOffer, ConsensusKey, Epoch, Member, SettlementKey, SettlementMember,
    settlement_committee,
};

use crate::{
    ConclaveElection::{self, Candidate, CommitteeOffered, snapshotEpochCall},
    ConclaveStake::Keys,
};

/// The code of a table: 0x00, the sum of the settlement keys, then rows.
const TABLE_HEAD_BYTES: usize = 1 + 96;
const ROW_BYTES: usize = 32 + 4 + 8 + 96;

/// The events of offers that can count ([`CommitteeOffer::that_count`]; the contract makes none that is too large). All
/// others are dropped before anyone is asked about them: a block has room for hundreds.
#[must_use]
pub fn newest(logs: &[Log]) -> Vec<CommitteeOffered> {
    let events = logs.iter().filter_map(|log| CommitteeOffered::decode_log(log).ok());
    let elected = events.map(|event| event.data).filter(|event| !event.reduced);
    let newest: BTreeMap<u64, CommitteeOffered> =
        elected.map(|event| (event.epoch, event)).collect();
    let skipped = newest.len().saturating_sub(CommitteeOffer::COUNT_MAX);
    newest.into_values().skip(skipped).collect()
}

/// The rows of the table that an event names, by the table's code; none if they are not whom the event offers.
#[must_use]
pub fn offered(event: &CommitteeOffered, code: &[u8]) -> Option<Vec<SettlementMember>> {
    rows(code).filter(|rows| settlement_committee(rows).as_bytes() == &event.committeeHash.0)
}

/// The offer of an event whose table has these rows, by the keys that validators have set; none if one of them has
/// never set the keys that stand there.
#[must_use]
pub fn offer(
    event: &CommitteeOffered,
    rows: &[SettlementMember],
    keys: &BTreeMap<u32, Vec<Keys>>,
) -> Option<CommitteeOffer> {
    members(rows, keys).map(|members| CommitteeOffer { epoch: Epoch::new(event.epoch), members })
}

/// The rows of a table's code; none if that is no table.
#[must_use]
pub fn rows(code: &[u8]) -> Option<Vec<SettlementMember>> {
    let rows = code.get(TABLE_HEAD_BYTES..)?;
    if !rows.len().is_multiple_of(ROW_BYTES) {
        return None;
    }
    rows.chunks_exact(ROW_BYTES).map(row).collect()
}

fn row(bytes: &[u8]) -> Option<SettlementMember> {
    let (consensus_key, rest) = bytes.split_first_chunk()?;
    let (validator, rest) = rest.split_first_chunk()?;
    let (power, rest) = rest.split_first_chunk()?;
    let (settlement_key, _) = rest.split_first_chunk()?;
    Some(SettlementMember {
        consensus_key: ConsensusKey::new(*consensus_key),
        validator: u32::from_be_bytes(*validator),
        power: u64::from_be_bytes(*power),
        settlement_key: SettlementKey::new(*settlement_key),
    })
}

/// The members of a table; none if one of them has never set the keys that stand there.
fn members(rows: &[SettlementMember], keys: &BTreeMap<u32, Vec<Keys>>) -> Option<Vec<Member>> {
    let member = |row: &SettlementMember| {
        let set = keys.get(&row.validator)?.iter().rev().map(|keys| keyed(row.validator, keys));
        let mut fitting = set.filter(|member| are_of(row, member));
        fitting.next().map(|member| Member { power: row.power, ..member })
    };
    rows.iter().map(member).collect()
}

/// Whether a member's keys are those of a row.
#[must_use]
pub fn are_of(row: &SettlementMember, member: &Member) -> bool {
    (member.consensus_key, member.settlement_key) == (row.consensus_key, row.settlement_key)
}

/// A validator with the keys that it has set, and without power.
#[must_use]
pub fn keyed(validator: u32, keys: &Keys) -> Member {
    let point = &keys.settlementKey;
    // A coordinate has 48 bytes: 16 in the first word, 32 in the second.
    let words = [point.xHigh, point.xLow, point.yHigh, point.yLow].map(|word| word.to_be_bytes());
    let skipped = [16, 0, 16, 0];
    let words: [[u8; 32]; 4] = words;
    let bytes = words.iter().zip(skipped).flat_map(|(word, skipped)| word.iter().skip(skipped));
    let mut settlement_key = [0; 96];
    settlement_key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Member {
        name: format!("validator {validator} on L1"),
        consensus_key: ConsensusKey::new(keys.consensusKey.0),
        network_key: ConsensusKey::new(keys.networkKey.0),
        settlement_key: SettlementKey::new(settlement_key),
        validator,
        power: 0,
    }
}

/// The call that elects, and offers the committee for the next epoch. `members` are at least all who are elected.
#[must_use]
pub fn snapshot(members: &[Member]) -> snapshotEpochCall {
    let mut candidates: Vec<_> = members.iter().map(candidate).collect();
    candidates.sort_by_key(|candidate| candidate.validator);
    snapshotEpochCall { candidates }
}

fn candidate(member: &Member) -> Candidate {
    let word = |half: &[u8]| U256::from_be_slice(half);
    let [x_high, x_low, y_high, y_low] = {
        let (x, y) = member.settlement_key.as_bytes().split_at(48);
        let (x, y) = (x.split_at(16), y.split_at(16));
        [x.0, x.1, y.0, y.1].map(word)
    };
    let keys = ConclaveElection::Keys {
        consensusKey: B256::from(*member.consensus_key.as_bytes()),
        settlementKey: ConclaveElection::G1Point {
            xHigh: x_high,
            xLow: x_low,
            yHigh: y_high,
            yLow: y_low,
        },
        networkKey: B256::from(*member.network_key.as_bytes()),
    };
    Candidate { validator: member.validator, keys }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use conclave_types::SettlementSecret;

    use super::*;
    use crate::{ConclaveElection::Committee, ConclaveStake::G1Point};

    fn keys(seed: u8) -> Keys {
        let key = SettlementSecret::from_seed(&[seed; 32]).key();
        let word = |bytes: &[u8]| U256::from_be_slice(bytes);
        let bytes = key.as_bytes();
        Keys {
            consensusKey: B256::repeat_byte(seed),
            settlementKey: G1Point {
                xHigh: word(&bytes[..16]),
                xLow: word(&bytes[16..48]),
                yHigh: word(&bytes[48..64]),
                yLow: word(&bytes[64..]),
            },
            networkKey: B256::repeat_byte(seed + 100),
        }
    }

    fn row_of(validator: u32, keys: &Keys) -> SettlementMember {
        let Member { consensus_key, settlement_key, .. } = keyed(validator, keys);
        SettlementMember { consensus_key, validator, power: 5, settlement_key }
    }

    fn offered(epoch: u64, hash: u8, reduced: bool) -> Log {
        let event = CommitteeOffered {
            epoch,
            committeeHash: B256::repeat_byte(hash),
            committee: Committee { table: Address::ZERO, count: 1, totalPower: 5 },
            leaversHeld: false,
            reduced,
        };
        Log { address: Address::ZERO, data: event.encode_log_data() }
    }

    #[test]
    fn of_a_blocks_events_the_last_elections_of_the_last_two_epochs_count() {
        let of = |logs: &[Log]| {
            let events = newest(logs).into_iter();
            events.map(|event| (event.epoch, event.committeeHash)).collect::<Vec<_>>()
        };
        let elected = [offered(2, 1, false), offered(4, 2, false), offered(3, 3, false)];
        let kept = |epoch, hash| (epoch, B256::repeat_byte(hash));
        assert_eq!(of(&elected), [kept(3, 3), kept(4, 2)]);
        let again = [&elected[..], &[offered(4, 4, false)]].concat();
        assert_eq!(of(&again), [kept(3, 3), kept(4, 4)]);
        let reduced = [&again[..], &[offered(4, 5, true), offered(5, 6, true)]].concat();
        assert_eq!(of(&reduced), of(&again), "anyone can leave out anyone");
    }

    #[test]
    fn a_table_is_read_as_the_contract_writes_it() {
        let rows = [row_of(3, &keys(1)), row_of(7, &keys(2))];
        let mut code = vec![0; TABLE_HEAD_BYTES];
        for row in &rows {
            code.extend(row.consensus_key.as_bytes());
            code.extend(row.validator.to_be_bytes());
            code.extend(row.power.to_be_bytes());
            code.extend(row.settlement_key.as_bytes());
        }
        assert_eq!(super::rows(&code).unwrap(), rows);
        code.pop();
        assert_eq!(super::rows(&code), None);
        assert_eq!(super::rows(&[0; 5]), None);
    }

    #[test]
    fn a_member_has_the_network_key_that_came_last_with_its_other_keys() {
        let moved = Keys { networkKey: B256::repeat_byte(9), ..keys(1) };
        let all = BTreeMap::from([(3, vec![keys(1), moved, keys(2)]), (7, vec![keys(2)])]);
        let of = |rows: &[SettlementMember]| {
            let members = members(rows, &all)?;
            Some(members.iter().map(|m| *m.network_key.as_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[row_of(3, &keys(1)), row_of(7, &keys(2))]), Some(vec![[9; 32], [102; 32]]));
        assert_eq!(of(&[row_of(3, &keys(2))]), Some(vec![[102; 32]]));
        assert_eq!(of(&[row_of(7, &keys(1))]), None, "keys that it has never set");
        assert_eq!(of(&[row_of(8, &keys(1))]), None, "a stranger");
    }
}
