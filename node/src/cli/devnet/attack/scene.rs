//! What the stories have in common: who misbehaves, telling them to, and waiting for what should come of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_client::messages::GetStatusResponse;
use conclave_node::l1::stake::Standing;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::Instant;

use super::super::{
    super::chain::ether,
    error::DevnetError,
    l1::DevnetL1,
    network::{Devnet, Validator},
    processes::Process,
    screen::Screen,
};

/// What `conclave-byzantine` logs when it is told to misbehave (`simulator/byzantine/src/main.rs`).
const BEGUN: &str = "from now on it misbehaves";

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A devnet in which some misbehave.
pub(super) struct Scene<'a> {
    pub(super) devnet: &'a mut Devnet,
    pub(super) screen: &'a Screen,
    byzantine: Vec<u16>,
    patience: Duration,
}

/// Who misbehaves.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Offender {
    /// Its name in the genesis.
    pub(super) name: String,
    /// Its number on L1.
    pub(super) validator: u32,
}

/// What a validator has at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Stake {
    /// Its number on L1.
    validator: u32,
    bonded_gwei: u64,
    escrow_gwei: u64,
    elected_power: u64,
    accused: bool,
    tombstoned: bool,
    jailed_until: u64,
}

impl Stake {
    pub(super) const fn validator(&self) -> u32 {
        self.validator
    }

    /// All of it, wherever it stands.
    pub(super) const fn total_gwei(&self) -> u64 {
        self.bonded_gwei.saturating_add(self.escrow_gwei)
    }

    /// Whether it answers for an offence, of those that put it out for ever or of the others.
    pub(super) const fn is_convicted(&self, for_ever: bool) -> bool {
        self.accused
            && self.tombstoned == for_ever
            && self.bonded_gwei == 0
            && self.elected_power == 0
    }
}

impl From<&Standing> for Stake {
    fn from(standing: &Standing) -> Self {
        Self {
            validator: standing.validator,
            bonded_gwei: standing.bonded_gwei,
            escrow_gwei: standing.escrow_gwei,
            elected_power: standing.elected_power,
            accused: standing.accused,
            tombstoned: standing.tombstoned,
            jailed_until: standing.jailed_until,
        }
    }
}

impl<'a> Scene<'a> {
    pub(super) const fn new(
        devnet: &'a mut Devnet,
        screen: &'a Screen,
        byzantine: Vec<u16>,
        patience: Duration,
    ) -> Self {
        Self { devnet, screen, byzantine, patience }
    }

    /// Those who misbehave.
    pub(super) fn offenders(&self) -> Vec<Offender> {
        let all = self.devnet.validators.iter().zip(&self.devnet.staked).zip(0_u16..);
        all.filter(|(_, index)| self.byzantine.contains(index))
            .map(|((one, number), _)| Offender { name: one.name.clone(), validator: *number })
            .collect()
    }

    /// Their names.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.offenders().into_iter().map(|offender| offender.name).collect();
        names.join(" and ")
    }

    pub(super) fn l1(&self) -> Result<&DevnetL1, DevnetError> {
        l1_of(self.devnet)
    }

    /// The indices of those who misbehave.
    pub(super) fn byzantine(&self) -> &[u16] {
        &self.byzantine
    }

    /// Those who do not.
    pub(super) fn honest_validators(&self) -> impl Iterator<Item = &Validator> {
        let all = (0_u16..).zip(&self.devnet.validators);
        all.filter(|(index, _)| !self.byzantine.contains(index)).map(|(_, validator)| validator)
    }

    /// The status of each honest validator, with its name.
    pub(super) async fn honest(&self) -> Result<Vec<(String, GetStatusResponse)>, DevnetError> {
        let mut all = Vec::new();
        for validator in self.honest_validators() {
            all.push((validator.name.clone(), validator.client.node_status().await?));
        }
        Ok(all)
    }

    /// The height up to which every honest validator has decided.
    pub(super) async fn height(&self) -> Result<u64, DevnetError> {
        let honest = self.honest().await?;
        Ok(honest.iter().map(|(_, status)| status.decided_height).min().unwrap_or_default())
    }

    /// Tells those who are to misbehave that it is time, and waits until their logs say that they heard it.
    pub(super) async fn begin(&mut self) -> Result<(), DevnetError> {
        self.signal(Signal::USR1)?;
        self.until("those who misbehave to begin", async |scene| {
            let mut all = scene.processes();
            Ok(all.all(|process| process.has_logged(BEGUN)).then_some(()))
        })
        .await
    }

    /// Tells them to be honest again.
    pub(super) fn end(&self) -> Result<(), DevnetError> {
        self.signal(Signal::USR2)
    }

    fn signal(&self, signal: Signal) -> Result<(), DevnetError> {
        self.processes().try_for_each(|process| process.tell(signal))
    }

    /// The processes of those who misbehave.
    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.byzantine.iter().filter_map(|index| self.devnet.processes.get(usize::from(*index)))
    }

    /// What `look` finds, once it finds something; an error if it takes too long, or a process dies meanwhile.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl AsyncFnMut(&Self) -> Result<Option<T>, DevnetError>,
    ) -> Result<T, DevnetError> {
        let started = Instant::now();
        loop {
            self.devnet.check()?;
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if started.elapsed() > self.patience {
                return Err(self.late(what));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The error for what has not happened in time.
    pub(super) fn late(&self, what: &str) -> DevnetError {
        let (what, logs) = (what.to_owned(), self.devnet.logs.clone());
        DevnetError::Late { what, patience: self.patience, logs }
    }

    /// How long each thing may take.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits until a height has settled, as each honest validator sees it.
    pub(super) async fn settled(&mut self, height: u64) -> Result<(), DevnetError> {
        let settled = self.until("settlement", async |scene| {
            let honest = scene.honest().await?;
            let mut settled =
                honest.iter().filter_map(|(_, status)| Some(status.l1.as_ref()?.settled_height));
            Ok(settled.all(|settled| settled >= height).then_some(()))
        });
        settled.await?;
        self.screen.step("settled", format!("on L1, height {height} and all before"));
        Ok(())
    }

    /// What each validator has at stake, told under a word.
    pub(super) async fn stake(&self, word: &str) -> Result<Vec<Stake>, DevnetError> {
        let standings = self.l1()?.standings(&self.devnet.staked).await?;
        for (standing, validator) in standings.iter().zip(&self.devnet.validators) {
            let text = format!(
                "{} ({} on L1): {} bonded, {} in escrow{}",
                validator.name,
                standing.validator,
                ether(standing.bonded_gwei),
                ether(standing.escrow_gwei),
                state(standing)
            );
            self.screen.step(word, text);
        }
        Ok(standings.iter().map(Stake::from).collect())
    }

    /// Waits until each honest validator was seen at a height at which another one was, with the same chain.
    pub(super) async fn agreement(&mut self) -> Result<(), DevnetError> {
        let mut first: BTreeMap<u64, (String, Vec<u8>)> = BTreeMap::new();
        let mut agreed = BTreeSet::new();
        let count = self.honest_validators().count();
        let compared = self.until("validators at the same height", async |scene| {
            let mut newest = 0;
            for (name, status) in scene.honest().await? {
                let height = status.revealed_height;
                newest = newest.max(height);
                let entry = first.entry(height);
                let (other, digest) =
                    entry.or_insert_with(|| (name.clone(), status.chain_digest.clone()));
                let holds = *digest == status.chain_digest;
                demand(
                    holds,
                    &format!("{other} and {name} do not have the same chain at height {height}"),
                )?;
                if *other != name {
                    agreed.extend([other.clone(), name]);
                }
            }
            Ok((agreed.len() == count).then_some(newest))
        });
        let height = compared.await?;
        self.screen
            .step("agreed", format!("{count} honest validators, on one chain: height {height}"));
        Ok(())
    }
}

/// An error that says what does not hold.
pub(super) fn demand(holds: bool, what: &str) -> Result<(), DevnetError> {
    if holds { Ok(()) } else { Err(DevnetError::Broken(what.to_owned())) }
}

fn state(standing: &Standing) -> String {
    let mut state = String::new();
    let facts = [
        (standing.accused, ", accused"),
        (standing.tombstoned, ", tombstoned"),
        (standing.jailed_until > 0, ", jailed"),
        (standing.elected_power == 0, ", not electable"),
    ];
    for (holds, words) in facts {
        state.push_str(if holds { words } else { "" });
    }
    state
}

/// The Ethereum of a devnet that settles.
pub(super) fn l1_of(devnet: &Devnet) -> Result<&DevnetL1, DevnetError> {
    let missing = || DevnetError::Options("an attack needs an L1".to_owned());
    devnet.l1.as_ref().ok_or_else(missing)
}
