//! `conclave-sim`: run a scenario.

use conclave_simulator::{Scenario, World};

fn main() -> anyhow::Result<()> {
    let outcome = World::new(Scenario::default(), 1).map(World::run);
    anyhow::ensure!(outcome.is_some(), "no world");
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{outcome:#?}");
    }
    Ok(())
}
