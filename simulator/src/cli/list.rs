//! `list`.

use conclave_simulator::BUILTINS;

use super::say;

pub(super) fn execute() -> anyhow::Result<u8> {
    for builtin in BUILTINS {
        let scenario = builtin.scenario()?;
        say(format!("{:<24} n={:<3} {}", builtin.name, scenario.validators, scenario.purpose))?;
    }
    Ok(0)
}
