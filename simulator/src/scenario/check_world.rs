//! What a world may be: places that exist, pipes that let something through, clocks that are clocks.

use super::{Behaviour, Scenario};
use crate::{
    crypto::Crypto,
    network::{NetworkModel, region_names},
};

/// A hundred gigabits a second: beyond, the pipes are no model of anything.
const MBIT_MAX: u64 = 100_000;
/// A message that jitters by more than a second is lost for its round.
const JITTER_US_MAX: u64 = 1_000_000;
/// The longest way round: beyond, it is a partition.
const DETOUR_MS_MAX: u64 = 10_000;
/// Two clocks that are wrong by this much, one each way, are as far apart as a validator waits for a
/// proposal. Beyond, nobody votes in time, and there is nothing to see.
const SKEW_MS_MAX: u64 = 1_000;
/// No quartz is worse.
const DRIFT_PPM_MAX: u64 = 1_000;
/// Cores of the largest machine.
const CORES_MAX: u16 = 256;
/// A disk that takes longer to sync is broken.
const FSYNC_US_MAX: u64 = 1_000_000;
/// A thousandth and a thousand times of what was measured.
const WORK_PERMILLE: (u64, u64) = (1, 1_000_000);
/// Beyond, nothing gets on.
const BACKGROUND_PERMILLE_MAX: u64 = 950;
/// What a bundle or a user's way to a validator takes at most: a second.
const OVERHEAD_US_MAX: u64 = 1_000_000;
/// Transactions that fit the largest bucket with the framing of their legs.
const BUNDLE_BYTES_MAX: u32 = 130_000;
/// A block that holds the largest bundle.
const BLOCK_BYTES_MIN: u32 = 131_088;
/// The most that any genesis allows.
const BLOCK_BYTES_MAX: u32 = 8 << 20;

/// More blocks than that are hours, even where they come every second.
const L1_FINALITY_MAX: u64 = 1_024;
/// What one L1 block can add of either kind.
const L1_ENTRIES_MAX: u64 = 255;

/// A rule that is broken: which entry, what was expected and found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorldFault {
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) remedy: String,
}

type Checked = Result<(), WorldFault>;

pub(super) fn ensure(holds: bool, path: &str, fault: impl FnOnce() -> (String, String)) -> Checked {
    if holds {
        return Ok(());
    }
    let (expected, remedy) = fault();
    Err(WorldFault { path: path.into(), expected, remedy })
}

/// A number within bounds.
fn within(path: &str, found: u64, least: u64, most: u64, remedy: &str) -> Checked {
    ensure((least..=most).contains(&found), path, || {
        let name = path.rsplit('.').next().unwrap_or(path);
        (format!("expected {name} from {least} to {most}, found {found}"), remedy.into())
    })
}

impl Scenario {
    pub(super) fn check_world(&self) -> Checked {
        self.check_regions()?;
        self.check_links()?;
        self.check_machines()?;
        self.check_sizes()?;
        self.check_full_disks()?;
        self.check_l1()?;
        self.check_committees()?;
        self.check_contracts()?;
        self.check_fork()?;
        self.check_tails()?;
        self.check_crypto()
    }

    fn check_regions(&self) -> Checked {
        let NetworkModel { regions, region_counts, .. } = &self.network;
        for name in regions.iter().chain(region_counts.keys()) {
            ensure(region_names().any(|known| known == name), "network.regions", || {
                let known: Vec<_> = region_names().collect();
                let expected = format!("{name:?} is no region of the table of round trips");
                (expected, format!("choose from {}", known.join(", ")))
            })?;
        }
        ensure(regions.is_empty() || region_counts.is_empty(), "network.region_counts", || {
            let expected = "expected regions or region_counts, found both";
            (expected.into(), "keep one: regions go in turn, region_counts say how many".into())
        })?;
        let counted: u64 = region_counts.values().map(|count| u64::from(*count)).sum();
        let fits = region_counts.is_empty() || counted == u64::from(self.validators);
        ensure(fits, "network.region_counts", || {
            let all = self.validators;
            let expected = format!("expected a place for {all} validators, found {counted}");
            (expected, "make the counts add up to validators".into())
        })?;
        let default = NetworkModel::default();
        let placed = !regions.is_empty() || !region_counts.is_empty();
        let latency = |model: &NetworkModel| (model.latency_min_ms, model.latency_max_ms);
        ensure(!placed || latency(&self.network) == latency(&default), "network.regions", || {
            let expected = "expected the latency from regions or from latency_min_ms and \
                            latency_max_ms, found both";
            (expected.into(), "leave one of them out; jitter_us goes with regions".into())
        })
    }

    fn check_links(&self) -> Checked {
        let NetworkModel { up_mbit, down_mbit, jitter_us, churn, .. } = &self.network;
        for (path, mbit) in [("network.up_mbit", up_mbit), ("network.down_mbit", down_mbit)] {
            if let Some(mbit) = mbit {
                let remedy = "give the bandwidth in Mbit/s, or leave it out for no limit";
                within(path, *mbit, 1, MBIT_MAX, remedy)?;
            }
        }
        within("network.jitter_us", *jitter_us, 0, JITTER_US_MAX, "give it in microseconds")?;
        let Some(churn) = churn else { return Ok(()) };
        let path = "network.churn";
        within("network.churn.period_ms", churn.period_ms, 1, self.limit_ms, "give a period")?;
        let both = churn.down_permille.saturating_add(churn.detour_permille);
        ensure(churn.down_permille < 1_000 && both <= 1_000, path, || {
            let (down, detour) = (churn.down_permille, churn.detour_permille);
            let expected = format!(
                "expected down_permille < 1000 and at most 1000 with detour_permille, found {down} \
                 and {detour}"
            );
            (expected, "leave some links up".into())
        })?;
        ensure((churn.detour_permille == 0) == (churn.detour_ms == 0), path, || {
            let expected = "expected detour_permille and detour_ms together, found one of them";
            (expected.into(), "say how many links take a detour and how long it is".into())
        })?;
        within("network.churn.detour_ms", churn.detour_ms, 0, DETOUR_MS_MAX, "use a partition")?;
        ensure(churn.until_ms < self.limit_ms, "network.churn.until_ms", || {
            let (limit, found) = (self.limit_ms, churn.until_ms);
            let expected =
                format!("expected churn to end before limit_ms = {limit}, found {found}");
            (expected, "raise limit_ms, or let it end earlier".into())
        })
    }

    fn check_machines(&self) -> Checked {
        let (machine, clocks) = (&self.machine, &self.clocks);
        let most = u64::from(CORES_MAX);
        let cores = u64::from(machine.cores);
        within("machine.cores", cores, 1, most, "jobs need a core")?;
        let shared = u64::from(machine.shared_cores);
        let remedy = "give the cores that all validators share, or 0 if each has its own";
        within("machine.shared_cores", shared, 0, most, remedy)?;
        let (least, most) = WORK_PERMILLE;
        let remedy = "1000 is what was measured, 2000 is a machine half as fast";
        within("machine.work_permille", machine.work_permille, least, most, remedy)?;
        for (path, found) in
            [("machine.bundle_us", machine.bundle_us), ("network.user_us", self.network.user_us)]
        {
            within(path, found, 0, OVERHEAD_US_MAX, "give it in microseconds")?;
        }
        let (bundle, background) = (machine.bundle_us, machine.background_permille);
        let remedy = "leave some of the cores to validators";
        within("machine.background_permille", background, 0, BACKGROUND_PERMILLE_MAX, remedy)?;
        for (key, found) in [("bundle_us", bundle), ("background_permille", background)] {
            ensure(found == 0 || shared > 0, &format!("machine.{key}"), || {
                let expected = format!("expected shared_cores beside {key}, found none");
                (expected, "on a machine of its own a validator has cores to spare for that".into())
            })?;
        }
        within("machine.fsync_us", machine.fsync_us, 0, FSYNC_US_MAX, "give it in microseconds")?;
        let remedy = "give what the disk writes in megabytes a second";
        within("machine.disk_mb_per_s", machine.disk_mb_per_s, 1, 1_000_000, remedy)?;
        let remedy = "with clocks further apart nobody votes in time";
        within("clocks.skew_ms", clocks.skew_ms, 0, SKEW_MS_MAX, remedy)?;
        within("clocks.drift_ppm", clocks.drift_ppm, 0, DRIFT_PPM_MAX, "no clock is that bad")
    }

    fn check_sizes(&self) -> Checked {
        if let Some(entry) = self.entry {
            let last = u64::from(self.validators.saturating_sub(1));
            within("entry", u64::from(entry), 0, last, "choose one that there is")?;
        }
        let most = u64::from(BUNDLE_BYTES_MAX);
        let remedy = "a bundle holds no more; hand in more of them";
        within("bundle_bytes", u64::from(self.bundle_bytes), 0, most, remedy)?;
        let (least, most) = (u64::from(BLOCK_BYTES_MIN), u64::from(BLOCK_BYTES_MAX));
        let remedy = "a block must hold the largest bundle, and fit one message with its bundles";
        within("block_bytes_max", u64::from(self.block_bytes_max), least, most, remedy)
    }

    fn check_full_disks(&self) -> Checked {
        for (index, full) in self.full_disks.iter().enumerate() {
            let path = format!("full_disks.{index}");
            ensure(full.validator < self.validators, &path, || {
                let (last, found) = (self.validators.saturating_sub(1), full.validator);
                let expected = format!("expected a validator from 0 to {last}, found {found}");
                (expected, "choose one that there is".into())
            })?;
            ensure(full.from_ms < full.until_ms, &path, || {
                let (from, until) = (full.from_ms, full.until_ms);
                let expected = format!("expected from_ms < until_ms, found {from} and {until}");
                (expected, "give the disk room again after it was full".into())
            })?;
            let end = full.until_ms.saturating_add(full.spread_ms);
            ensure(end < self.limit_ms, &path, || {
                let limit = self.limit_ms;
                let expected = format!(
                    "expected the disk to have room before limit_ms = {limit}, found {end}"
                );
                (expected, "raise limit_ms, or let it end earlier".into())
            })?;
            let crashes = self.crashes.iter().any(|crash| crash.validator == full.validator);
            let lies = self.byzantine.iter().any(|other| other.validator == full.validator);
            ensure(!crashes && !lies, &path, || {
                let who = full.validator;
                let expected = format!("validator {who} has a full disk and another fault too");
                (expected, "give each fault a validator of its own".into())
            })?;
            let twice = self.full_disks.iter().take(index).any(|o| o.validator == full.validator);
            ensure(!twice, &path, || {
                let who = full.validator;
                let expected = format!("expected one full disk for validator {who}, found two");
                (expected, "make it one longer time".into())
            })?;
        }
        Ok(())
    }

    fn check_l1(&self) -> Checked {
        let Some(l1) = &self.l1 else { return Ok(()) };
        let remedy = "L1 has a block every so many milliseconds";
        within("l1.block_ms", l1.block_ms, 1, self.limit_ms, remedy)?;
        let remedy = "a block is final when so many are on top of it";
        within("l1.finality_blocks", l1.finality_blocks, 1, L1_FINALITY_MAX, remedy)?;
        let remedy = "leave some blocks where they are";
        within("l1.reorg_permille", l1.reorg_permille, 0, 999, remedy)?;
        let remedy = "whoever never hears of L1 has an outage";
        within("l1.lag_ms", l1.lag_ms, 0, self.limit_ms, remedy)?;
        let remedy = "the contract counts them in a byte";
        within("l1.forced_max", l1.forced_max, 0, L1_ENTRIES_MAX, remedy)?;
        within("l1.deposits_max", l1.deposits_max, 0, L1_ENTRIES_MAX, remedy)?;
        let places = L1_ENTRIES_MAX.saturating_sub(l1.forced_max);
        let remedy = "they take the places of forced transactions";
        within("l1.withdrawals_max", l1.withdrawals_max, 0, places, remedy)?;
        let strangers = l1.false_views.iter().filter(|v| **v >= self.validators).count();
        let (most, found) = (usize::from(self.faulty_max()), l1.false_views.len());
        ensure(strangers == 0 && found <= most, "l1.false_views", || {
            let all = self.validators;
            let expected =
                format!("expected at most f = {most} of {all} validators, found {found}");
            (expected, "with more, what L1 asks for comes to a stop; drop some".into())
        })?;
        for (index, outage) in l1.outages.iter().enumerate() {
            let path = format!("l1.outages.{index}");
            let stranger = outage.validators.iter().find(|v| **v >= self.validators);
            ensure(stranger.is_none(), &path, || {
                let (last, found) = (self.validators.saturating_sub(1), stranger);
                let found = found.copied().unwrap_or_default();
                let expected = format!("expected validators from 0 to {last}, found {found}");
                (expected, "choose some that there are, or none for all".into())
            })?;
            ensure(outage.from_ms < outage.until_ms, &path, || {
                let (from, until) = (outage.from_ms, outage.until_ms);
                let expected = format!("expected from_ms < until_ms, found {from} and {until}");
                (expected, "let L1 be reached again after it was not".into())
            })?;
            let end = outage.until_ms.saturating_add(outage.spread_ms);
            ensure(end < self.limit_ms, &path, || {
                let limit = self.limit_ms;
                let expected =
                    format!("expected L1 to be reached before limit_ms = {limit}, found {end}");
                (expected, "raise limit_ms, or let it end earlier".into())
            })?;
        }
        Ok(())
    }

    fn check_tails(&self) -> Checked {
        for (index, crash) in self.crashes.iter().enumerate() {
            ensure(!crash.unseen || crash.tail.is_none(), &format!("crashes.{index}"), || {
                let expected = "expected unseen or tail, found both".into();
                (expected, "unseen = true is short for tail = \"unseen\"".into())
            })?;
        }
        Ok(())
    }

    fn check_crypto(&self) -> Checked {
        let modelled = self.crypto == Crypto::Modelled;
        let remedy = || "use crypto = \"memoised\", which is exact".to_owned();
        ensure(!modelled || self.spam_per_s == 0, "crypto", || {
            let expected =
                "crypto = \"modelled\" knows what users sealed, and not what spammers did";
            (expected.into(), remedy())
        })?;
        let has =
            |named: Behaviour| self.byzantine.iter().any(|other| other.behaviours.contains(&named));
        ensure(!modelled || !has(Behaviour::PrematureShares), "crypto", || {
            let expected =
                "crypto = \"modelled\" has no shares that premature-shares could compute";
            (expected.into(), remedy())
        })?;
        ensure(!modelled || !has(Behaviour::StrayShares), "crypto", || {
            let expected = "crypto = \"modelled\" has no shares that stray-shares could compute";
            (expected.into(), remedy())
        })?;
        let attests_otherwise =
            has(Behaviour::DoubleAttestations) || has(Behaviour::AlternateAttestations);
        ensure(!modelled || !attests_otherwise, "crypto", || {
            let expected = "crypto = \"modelled\" has no signatures that double-attestations or \
                            alternate-attestations could show";
            (expected.into(), remedy())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> WorldFault {
        toml::from_str::<Scenario>(text).unwrap().check_world().unwrap_err()
    }

    /// Each text, and words of what is expected and of what to do.
    fn refused(rows: Vec<(String, &str, &str)>) {
        for (text, expected, remedy) in rows {
            let fault = fault(&text);
            assert!(fault.expected.contains(expected), "{text}: {fault:?}");
            assert!(fault.remedy.contains(remedy), "{text}: {fault:?}");
            assert!(!fault.path.is_empty());
        }
    }

    #[test]
    fn a_world_that_cannot_be_is_refused_with_what_to_do() {
        let full = "[[full_disks]]\nvalidator = 1\nfrom_ms = 1\nuntil_ms = 9\n";
        let crash = "[[crashes]]\nvalidator = 1\nat_ms = 1\nuntil_ms = 9\n";
        let churn = "[network.churn]\nperiod_ms = 10\n";
        let rows: Vec<(String, &str, &str)> = vec![
            ("network.regions = [\"atlantis\"]".into(), "atlantis\" is no region", "choose from"),
            (
                "network.region_counts = { dallas = 3 }".into(),
                "expected a place for 4 validators, found 3",
                "add up",
            ),
            (
                "network = { regions = [\"tokyo\"], region_counts = { dallas = 4 } }".into(),
                "found both",
                "keep one",
            ),
            (
                "network = { regions = [\"tokyo\"], latency_max_ms = 50 }".into(),
                "expected the latency from regions or",
                "leave one",
            ),
            ("network.up_mbit = 0".into(), "expected up_mbit from 1 to 100000, found 0", "Mbit/s"),
            ("network.down_mbit = 100001".into(), "found 100001", "Mbit/s"),
            ("network.jitter_us = 1000001".into(), "expected jitter_us", "microseconds"),
            (churn.replace("10", "0"), "expected period_ms from 1", "period"),
            (format!("{churn}down_permille = 1000"), "expected down_permille < 1000", "links up"),
            (format!("{churn}detour_permille = 5"), "found one of them", "how long"),
            (format!("{churn}until_ms = 120000"), "before limit_ms = 120000", "raise limit_ms"),
            ("clocks.skew_ms = 1001".into(), "expected skew_ms from 0 to 1000", "nobody votes"),
            ("clocks.drift_ppm = 1001".into(), "expected drift_ppm from 0 to 1000", "that bad"),
            ("machine.cores = 0".into(), "expected cores from 1 to 256, found 0", "need a core"),
            ("machine.shared_cores = 257".into(), "expected shared_cores from 0 to 256", "share"),
            ("machine.work_permille = 0".into(), "expected work_permille from 1", "half as fast"),
            ("machine.bundle_us = 1000001".into(), "expected bundle_us from 0", "microseconds"),
            (
                "machine = { shared_cores = 2, background_permille = 951 }".into(),
                "expected background_permille from 0 to 950",
                "leave some",
            ),
            ("machine.bundle_us = 5".into(), "expected shared_cores beside bundle_us", "to spare"),
            ("network.user_us = 1000001".into(), "expected user_us", "microseconds"),
            ("entry = 4".into(), "expected entry from 0 to 3, found 4", "that there is"),
            ("machine.fsync_us = 1000001".into(), "expected fsync_us", "microseconds"),
            ("machine.disk_mb_per_s = 0".into(), "expected disk_mb_per_s from 1", "megabytes"),
            ("bundle_bytes = 130001".into(), "from 0 to 130000, found 130001", "holds no more"),
            ("block_bytes_max = 1000".into(), "expected block_bytes_max from", "largest bundle"),
            (full.replace("= 1\nf", "= 4\nf"), "expected a validator from 0 to 3", "there is"),
            (full.replace('9', "1"), "expected from_ms < until_ms, found 1 and 1", "room again"),
            (full.replace('9', "120000"), "before limit_ms = 120000", "raise limit_ms"),
            (format!("{full}{crash}"), "validator 1 has a full disk and another", "of its own"),
            (format!("{full}{full}"), "expected one full disk for validator 1", "one longer"),
            (format!("{crash}unseen = true\ntail = \"lost\""), "found both", "short for"),
            ("crypto = \"modelled\"\nspam_per_s = 1".into(), "not what spammers did", "exact"),
            (
                "crypto = \"modelled\"\n[[byzantine]]\nvalidator = 1\n\
                 behaviours = [\"premature-shares\"]"
                    .into(),
                "no shares that premature-shares",
                "exact",
            ),
        ];
        refused(rows);
    }

    #[test]
    fn an_l1_that_cannot_be_is_refused_with_what_to_do() {
        let outage = "[[l1.outages]]\nfrom_ms = 1\nuntil_ms = 9\n";
        refused(vec![
            ("l1.block_ms = 0".into(), "expected block_ms from 1", "every so many"),
            ("l1.finality_blocks = 0".into(), "expected finality_blocks from 1", "on top"),
            ("l1.reorg_permille = 1000".into(), "from 0 to 999, found 1000", "leave some"),
            ("l1.lag_ms = 120001".into(), "expected lag_ms", "has an outage"),
            ("l1.forced_max = 256".into(), "from 0 to 255, found 256", "in a byte"),
            ("l1.deposits_max = 256".into(), "expected deposits_max", "in a byte"),
            ("l1.withdrawals_max = 253".into(), "from 0 to 252, found 253", "they take the places"),
            ("l1.false_views = [0, 1]".into(), "at most f = 1 of 4 validators, found 2", "drop"),
            (format!("{outage}validators = [4]"), "from 0 to 3, found 4", "none for all"),
            (outage.replace('9', "1"), "expected from_ms < until_ms", "reached again"),
            (outage.replace('9', "120000"), "before limit_ms = 120000", "raise limit_ms"),
        ]);
    }

    #[test]
    fn what_serde_refuses_is_not_reached() {
        for text in ["network.up_mbit = -5", "crypto = \"none\"", "machine.cpus = 4"] {
            assert!(toml::from_str::<Scenario>(text).is_err(), "{text}");
        }
    }
}
