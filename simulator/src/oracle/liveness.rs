//! Liveness: once the faults have stopped, a block is decided and revealed within ten rounds that honest
//! validators lead, however long these are.

use std::collections::BTreeSet;

use conclave_types::Height;

/// Rounds with an honest proposer in which a new block must have been decided and revealed.
const HONEST_ROUNDS_MAX: usize = 10;

/// What has happened since the faults stopped.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    /// The height that must be revealed; none before the faults have stopped, and after.
    awaited: Option<Height>,
    healed: bool,
    led: BTreeSet<(Height, u32)>,
}

impl Liveness {
    /// The faults have stopped, and `decided` is the newest decided height.
    pub(super) fn healed(&mut self, decided: Height) {
        self.awaited = Some(decided.next());
        self.healed = true;
        self.led.clear();
    }

    /// Whether the faults have stopped, and everything is to be well.
    pub(super) const fn is_owed(&self) -> bool {
        self.healed
    }

    /// A round begins that an honest validator leads.
    pub(super) fn led(&mut self, height: Height, round: u32) {
        // Rounds of heights below are those of validators that are behind, and lead nowhere.
        if self.awaited.is_some_and(|awaited| height >= awaited) {
            self.led.insert((height, round));
        }
    }

    pub(super) fn revealed(&mut self, height: Height) {
        self.awaited = self.awaited.filter(|awaited| height < *awaited);
    }

    /// Why it is too late; none if it is not.
    pub(super) fn missed(&self) -> Option<String> {
        let height = self.awaited?;
        // The last of them is still going on.
        (self.led.len() > HONEST_ROUNDS_MAX).then(|| {
            format!(
                "height {height} is not decided and revealed after {HONEST_ROUNDS_MAX} rounds with an \
                 honest proposer"
            )
        })
    }
}
