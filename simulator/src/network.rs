//! The links between validators: latency with jitter, loss, partitions, churn, and bandwidth.
//!
//! ```text
//!  sender's uplink ─▶ lost, cut? ─▶ latency + jitter ─▶ receiver's downlink ─▶ delivered
//!  (shared by its peers)                              (shared by its peers)
//! ```
//!
//! Uplink and downlink are one [`Pipe`] each, passed one after the other: a message is on the second
//! when it has left the first as a whole, which overstates a large message's time by what pipelining
//! would save, at most its own time on the faster of the two. Without a bandwidth both are left out.

mod pipe;
mod regions;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_types::Time;
use serde::{Deserialize, Serialize};

pub(crate) use pipe::{Pipe, Pushed, Stream};
pub(crate) use regions::Region;
pub use regions::{region_names, region_source};

use crate::{random::Random, scenario::is_default};

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkModel {
    /// Least one-way delay. With regions, it is half of the measured round trip instead.
    pub latency_min_ms: u64,
    /// Most one-way delay. With regions, it is half of the measured round trip instead.
    pub latency_max_ms: u64,
    /// Delay that is added to each message: anything up to this.
    pub jitter_us: u64,
    /// One-way delay between a user and a validator.
    pub user_us: u64,
    /// Messages lost, in a thousand.
    pub loss_permille: u64,
    /// Messages delivered twice, in a thousand.
    pub duplicate_permille: u64,
    /// The regions in which validators stand, in turn: the first validator in the first, and so on, over
    /// and over.
    pub regions: Vec<String>,
    /// How many validators stand in which region, in order of the regions' names; instead of `regions`.
    pub region_counts: BTreeMap<String, u16>,
    /// What a validator can send, in Mbit/s; unlimited if not given.
    pub up_mbit: Option<u64>,
    /// What a validator can receive, in Mbit/s; unlimited if not given.
    pub down_mbit: Option<u64>,
    /// Links that come and go.
    pub churn: Option<Churn>,
}

impl Default for NetworkModel {
    fn default() -> Self {
        Self {
            latency_min_ms: 5,
            latency_max_ms: 40,
            jitter_us: 0,
            user_us: 5_000,
            loss_permille: 0,
            duplicate_permille: 0,
            regions: Vec::new(),
            region_counts: BTreeMap::new(),
            up_mbit: None,
            down_mbit: None,
            churn: None,
        }
    }
}

impl NetworkModel {
    /// Whether a round is long enough, as a rule, for everything in it to arrive.
    pub(crate) fn is_calm(&self) -> bool {
        let unhindered = self.up_mbit.is_none() && self.down_mbit.is_none() && self.churn.is_none();
        unhindered && self.latency_max_ms <= 250 && self.loss_permille <= 20
    }
}

/// Links that come and go: time is cut into periods, and in each period each direction of each link is
/// drawn anew.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// How long a link stays as it is drawn.
    pub period_ms: u64,
    /// Links that are down, in a thousand.
    #[serde(default)]
    pub down_permille: u64,
    /// Links that take a detour, in a thousand.
    #[serde(default)]
    pub detour_permille: u64,
    /// What a detour adds to the delay.
    #[serde(default)]
    pub detour_ms: u64,
    /// From then on links stay up; until the end of the run if it is 0.
    #[serde(default)]
    pub until_ms: u64,
}

/// A time during which some validators cannot reach others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// When it begins.
    pub from_ms: u64,
    /// When it heals.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
    /// One side.
    pub side: Vec<u16>,
    /// The other side; everyone else if it is empty. Whoever is in neither reaches both: a partial
    /// partition.
    #[serde(default, skip_serializing_if = "is_default")]
    pub against: Vec<u16>,
    /// The side hears the others, but is not heard.
    #[serde(default, skip_serializing_if = "is_default")]
    pub one_way: bool,
}

impl Partition {
    fn separates(&self, from: u16, to: u16) -> bool {
        let cuts = |a: u16, b: u16| {
            let other = if self.against.is_empty() {
                !self.side.contains(&b)
            } else {
                self.against.contains(&b)
            };
            self.side.contains(&a) && other
        };
        cuts(from, to) || (!self.one_way && cuts(to, from))
    }
}

/// What is sent over links that come and go, drawn without remembering anything: the same question has
/// the same answer within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    Detour,
    Down,
}

/// The links.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    model: NetworkModel,
    partitions: Vec<Partition>,
    places: Vec<Region>,
    started: Time,
    /// What the weather is drawn from.
    seed: u64,
    /// Who is on the other side of a fork: it hears nobody on the first one, nor is it heard there.
    over: BTreeSet<u16>,
    /// Messages that were lost.
    pub(crate) lost: u64,
    /// Messages that a partition kept back.
    pub(crate) blocked: u64,
    /// Messages that a link which was down kept back.
    pub(crate) churned: u64,
    /// Messages that took a detour.
    pub(crate) detoured: u64,
    /// Messages that arrived twice.
    pub(crate) duplicated: u64,
    /// Messages that were handed over.
    pub(crate) delivered: u64,
}

impl Network {
    /// Links among `validators` that begin at `started`.
    #[must_use]
    pub(crate) fn new(
        model: NetworkModel,
        partitions: Vec<Partition>,
        validators: u16,
        started: Time,
        seed: u64,
    ) -> Self {
        let places = model.places(validators);
        Self {
            model,
            partitions,
            places,
            started,
            seed,
            over: BTreeSet::new(),
            lost: 0,
            blocked: 0,
            churned: 0,
            detoured: 0,
            duplicated: 0,
            delivered: 0,
        }
    }

    /// From now on these are on the other side of a fork.
    pub(crate) fn part(&mut self, over: BTreeSet<u16>) {
        self.over = over;
    }

    /// From now on this one is on the side on which it was not.
    pub(crate) fn cross(&mut self, node: u16) {
        if !self.over.remove(&node) {
            self.over.insert(node);
        }
    }

    /// Whether it is on the other one.
    pub(crate) fn is_over(&self, node: u16) -> bool {
        self.over.contains(&node)
    }

    /// The name of the region in which a validator stands; empty without regions.
    #[must_use]
    pub(crate) fn region(&self, validator: u16) -> &'static str {
        self.places.get(usize::from(validator)).map_or("", |region| region.name())
    }

    /// In how many regions validators stand.
    #[must_use]
    pub(crate) fn region_count(&self) -> u64 {
        let distinct: BTreeSet<_> = self.places.iter().collect();
        u64::try_from(distinct.len()).unwrap_or(u64::MAX)
    }

    /// An uplink and a downlink.
    #[must_use]
    pub(crate) fn pipes<P>(&self) -> [Option<Pipe<P>>; 2] {
        let pipe = |mbit: Option<u64>| mbit.map(|mbit| Pipe::new(mbit.saturating_mul(125_000)));
        [pipe(self.model.up_mbit), pipe(self.model.down_mbit)]
    }

    /// The delays of a message that is on the link now; more than one if it is duplicated, none if it is
    /// lost.
    pub(crate) fn delays(
        &mut self,
        random: &mut Random,
        now: Time,
        from: u16,
        to: u16,
    ) -> [Option<Duration>; 2] {
        if self.is_cut(now, from, to) {
            self.blocked = self.blocked.saturating_add(1);
            return [None, None];
        }
        let detour = match self.weather(now, from, to) {
            Weather::Down => {
                self.churned = self.churned.saturating_add(1);
                return [None, None];
            }
            Weather::Detour => {
                self.detoured = self.detoured.saturating_add(1);
                self.model.churn.as_ref().map_or(0, |churn| churn.detour_ms)
            }
            Weather::Fair => 0,
        };
        if random.chance(self.model.loss_permille) {
            self.lost = self.lost.saturating_add(1);
            return [None, None];
        }
        let twice = random.chance(self.model.duplicate_permille);
        self.duplicated = self.duplicated.saturating_add(u64::from(twice));
        self.delivered = self.delivered.saturating_add(1);
        let mut delay = || {
            let way = self.delay(random, from, to);
            Some(way.saturating_add(Duration::from_millis(detour)))
        };
        [delay(), if twice { delay() } else { None }]
    }

    fn delay(&self, random: &mut Random, from: u16, to: u16) -> Duration {
        let jitter = match self.model.jitter_us {
            0 => 0,
            most => random.below(most.saturating_add(1)),
        };
        let place = |validator: u16| self.places.get(usize::from(validator));
        let base = if let (Some(from), Some(to)) = (place(from), place(to)) {
            from.one_way_us(*to)
        } else {
            let least = self.model.latency_min_ms.saturating_mul(1_000);
            let spread = self.model.latency_max_ms.saturating_mul(1_000).saturating_sub(least);
            least.saturating_add(random.below(spread.saturating_add(1)))
        };
        Duration::from_micros(base.saturating_add(jitter))
    }

    fn elapsed_ms(&self, now: Time) -> u64 {
        u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn is_cut(&self, now: Time, from: u16, to: u16) -> bool {
        if self.is_over(from) != self.is_over(to) {
            return true;
        }
        let elapsed = self.elapsed_ms(now);
        self.partitions.iter().any(|partition| {
            (partition.from_ms..partition.until_ms).contains(&elapsed)
                && partition.separates(from, to)
        })
    }

    fn weather(&self, now: Time, from: u16, to: u16) -> Weather {
        let Some(churn) = &self.model.churn else { return Weather::Fair };
        let elapsed = self.elapsed_ms(now);
        if churn.until_ms > 0 && elapsed >= churn.until_ms {
            return Weather::Fair;
        }
        let period = elapsed.checked_div(churn.period_ms).unwrap_or(0);
        let link = u64::from(from) << 16 | u64::from(to);
        let drawn = mix(mix(self.seed ^ link << 32) ^ period) % 1_000;
        if drawn < churn.down_permille {
            Weather::Down
        } else if drawn < churn.down_permille.saturating_add(churn.detour_permille) {
            Weather::Detour
        } else {
            Weather::Fair
        }
    }
}

impl NetworkModel {
    /// Where each validator stands; nobody anywhere without regions.
    pub(crate) fn places(&self, validators: u16) -> Vec<Region> {
        let listed = self.region_counts.iter();
        let counted = listed.flat_map(|(name, count)| (0..*count).map(move |_| name.as_str()));
        let in_turn = self.regions.iter().map(String::as_str).cycle();
        let names = counted.chain(in_turn).take(usize::from(validators));
        names.filter_map(Region::named).collect()
    }
}

/// A number that looks like chance and follows from another: the finalizer of splitmix64 (Steele, Lea and
/// Flood, 2014).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Time = Time::from_micros(1_000_000);

    fn network(model: NetworkModel, partitions: Vec<Partition>) -> Network {
        Network::new(model, partitions, 6, BEGIN, 5)
    }

    fn partition(side: &[u16], against: &[u16], one_way: bool) -> Partition {
        let (side, against) = (side.to_vec(), against.to_vec());
        Partition { from_ms: 0, until_ms: 10, spread_ms: 0, side, against, one_way }
    }

    #[test]
    fn each_kind_of_partition_cuts_what_it_says() {
        let clean = partition(&[0, 1], &[], false);
        let partial = partition(&[0], &[1], false);
        let one_way = partition(&[0], &[], true);
        let partial_one_way = partition(&[0], &[1], true);
        let rows = [
            // from, to, and whether each of the four cuts it
            (0, 1, [false, true, true, true]),
            (1, 0, [false, true, false, false]),
            (0, 2, [true, false, true, false]),
            (2, 0, [true, false, false, false]),
            (2, 3, [false, false, false, false]),
            (1, 2, [true, false, false, false]),
        ];
        for (from, to, expected) in rows {
            let kinds = [&clean, &partial, &one_way, &partial_one_way];
            assert_eq!(kinds.map(|kind| kind.separates(from, to)), expected, "{from} to {to}");
        }
    }

    #[test]
    fn regions_give_half_the_round_trip_and_jitter_is_bounded() {
        let regions = vec!["london".to_owned(), "sydney".to_owned()];
        let model = NetworkModel { regions, jitter_us: 500, ..NetworkModel::default() };
        let mut network = network(model, Vec::new());
        let mut random = Random::new(1, 1);
        assert_eq!((network.region(0), network.region(3)), ("london", "sydney"));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let [Some(delay), None] = network.delays(&mut random, BEGIN, 0, 3) else { panic!() };
            let micros = u64::try_from(delay.as_micros()).unwrap();
            assert!((130_500..=131_000).contains(&micros), "{micros}");
            seen.insert(micros);
        }
        assert!(seen.len() > 50, "jitter differs from message to message");
    }

    #[test]
    fn regions_can_be_counted() {
        let region_counts = [("tokyo".to_owned(), 1), ("dallas".to_owned(), 5)].into();
        let model = NetworkModel { region_counts, ..NetworkModel::default() };
        let network = network(model, Vec::new());
        let names: Vec<_> = (0..6).map(|validator| network.region(validator)).collect();
        assert_eq!(names, ["dallas", "dallas", "dallas", "dallas", "dallas", "tokyo"]);
    }

    #[test]
    fn churn_downs_its_share_of_links_for_a_period_and_ends() {
        let churn = Churn {
            period_ms: 100,
            down_permille: 200,
            detour_permille: 300,
            detour_ms: 50,
            until_ms: 100_000,
        };
        let network =
            network(NetworkModel { churn: Some(churn), ..NetworkModel::default() }, Vec::new());
        let at = |ms: u64| BEGIN.after(Duration::from_millis(ms));
        let count = |wanted: Weather| {
            let periods =
                (0..1_000).filter(|period| network.weather(at(period * 100), 1, 2) == wanted);
            periods.count()
        };
        assert!((150..250).contains(&count(Weather::Down)), "{}", count(Weather::Down));
        assert!((250..350).contains(&count(Weather::Detour)), "{}", count(Weather::Detour));
        for period in 0..50 {
            let first = network.weather(at(period * 100), 3, 4);
            assert_eq!(network.weather(at(period * 100 + 99), 3, 4), first, "within a period");
        }
        assert_eq!(network.weather(at(100_000), 1, 2), Weather::Fair);
        let directions = (0..100).filter(|period| {
            network.weather(at(period * 100), 1, 2) != network.weather(at(period * 100), 2, 1)
        });
        assert!(directions.count() > 10, "the two directions are drawn apart");
    }
}
