//! Helpers for the tests that need the whole project rather than one crate: where things are, and how
//! its guards are broken.

pub mod mutation;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The root of the workspace. Asked of the test runner first: clones that share a target directory
/// share this crate's build too, and what was compiled in may be another clone's path.
///
/// # Panics
///
/// If this crate is not a direct child of the workspace's root.
#[must_use]
pub fn workspace_root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let own = running.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        own.parent().expect("tests/ lies in the workspace's root").to_owned()
    })
}

/// Every file of the workspace whose name ends in one of `endings`, relative to the root, sorted.
/// Build products, hidden directories and installed packages are left out.
///
/// # Panics
///
/// If a directory of the workspace cannot be read.
#[must_use]
pub fn workspace_files(endings: &[&str]) -> Vec<PathBuf> {
    let root = workspace_root();
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of the workspace reads") {
            let entry = entry.expect("an entry of the workspace reads");
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", "node_modules", "devnet-data"].contains(&name.as_str());
                if !skipped && !name.starts_with('.') {
                    directories.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let relative = path.strip_prefix(root).expect("found under the root");
                found.push(relative.to_path_buf());
            }
        }
    }
    found.sort();
    found
}
