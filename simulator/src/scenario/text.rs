//! Writing a scenario: what is as by default is left out, so that what remains is what matters.

use toml::{Table, Value};

use super::Scenario;

impl Scenario {
    /// The scenario as TOML, without the entries that are as by default.
    ///
    /// # Errors
    ///
    /// If a number in it is too large for TOML, which ends at 2⁶³.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut table = Table::try_from(self)?;
        strip(&mut table, &Table::try_from(Self::default())?);
        toml::to_string(&table)
    }
}

/// Removes what is as in `defaults`.
fn strip(table: &mut Table, defaults: &Table) {
    table.retain(|key, value| {
        let default = defaults.get(key);
        if let (Value::Table(inner), Some(Value::Table(defaults))) = (&mut *value, default) {
            strip(inner, defaults);
            return !inner.is_empty();
        }
        Some(&*value) != default
    });
}

#[cfg(test)]
mod tests {
    use crate::{BUILTINS, Scenario};

    #[test]
    fn what_is_written_is_read_again() {
        for builtin in BUILTINS {
            let scenario = builtin.scenario().unwrap();
            for scenario in [scenario.clone(), scenario.drawn(7)] {
                let text = scenario.to_toml().unwrap();
                let read: Scenario = toml::from_str(&text).unwrap();
                assert_eq!(read, scenario, "{}", builtin.name);
            }
        }
    }

    #[test]
    fn defaults_are_left_out() {
        let mut scenario = Scenario { heights: 7, ..Scenario::default() };
        scenario.network.loss_permille = 5;
        assert_eq!(scenario.to_toml().unwrap(), "heights = 7\n\n[network]\nloss_permille = 5\n");
    }
}
