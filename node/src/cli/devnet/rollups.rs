//! The EVM rollups of a devnet, as processes of their own.

use std::path::Path;

use super::{
    error::{DevnetError, at},
    ethereum::Rollup,
    network::{ROLLUPS, forget, written},
    processes::Process,
    setup::Setup,
};

/// Starts a node of each rollup.
pub(super) fn start(
    setup: &Setup,
    root: &Path,
    logs: &Path,
    endpoints: &[String],
) -> Result<Vec<Process>, DevnetError> {
    let program = std::env::current_exe().map_err(at("/proc/self/exe"))?;
    let program = program.with_file_name("conclave-evm");
    if !program.exists() {
        return Err(DevnetError::MissingProgram { path: program });
    }
    let accounts = match &setup.alloc {
        None => vec!["--dev-accounts".to_owned()],
        Some(alloc) => {
            let path = root.join("alloc.json");
            std::fs::write(&path, alloc.to_string()).map_err(at(&path))?;
            vec!["--genesis".to_owned(), path.display().to_string()]
        }
    };
    let start = |(index, id): (usize, u64)| {
        let directory = root.join(format!("rollup-{id}"));
        forget(&directory.join("rpc.addr"))?;
        let mut arguments: Vec<_> =
            ["--chain-id", &id.to_string(), "--rpc", "127.0.0.1:0"].map(str::to_owned).to_vec();
        arguments.extend(["--data-dir".to_owned(), directory.display().to_string()]);
        // Each rollup prefers another validator.
        let (later, first) = endpoints.split_at(index.min(endpoints.len()));
        for endpoint in first.iter().chain(later) {
            arguments.extend(["--sequencer".to_owned(), endpoint.clone()]);
        }
        arguments.push("--exit-with-parent".to_owned());
        arguments.extend(accounts.iter().cloned());
        Process::start(&format!("rollup-{id}"), &program, &arguments, logs)
    };
    ROLLUPS.into_iter().enumerate().map(start).collect()
}

/// Waits until all of them serve.
pub(super) async fn connect(
    root: &Path,
    logs: &Path,
    processes: &mut [Process],
) -> Result<Vec<Rollup>, DevnetError> {
    let mut rollups = Vec::new();
    for id in ROLLUPS {
        let path = root.join(format!("rollup-{id}")).join("rpc.addr");
        let text = written(&path, logs, processes).await?;
        let url = format!("http://{text}");
        let rollup = Rollup::new(id, &url)
            .ok_or_else(|| DevnetError::BadAddress { path, found: text.clone() })?;
        rollups.push(rollup);
    }
    Ok(rollups)
}
