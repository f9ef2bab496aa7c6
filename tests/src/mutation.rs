//! Mutants: the shipped core with one guard broken, by a patch of its source. An oracle that cannot tell a
//! mutant from the core is blind to the promise that the guard keeps.
//!
//! A mutant is a file in `simulator/mutations/`: what it breaks, where, and which oracle of the simulator
//! must see it in which scenario. A patch is text that must occur exactly once, and what stands there
//! instead; so it survives what moves lines, and a change of the guard itself makes it fail to apply.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The directory of the mutants, from the root.
pub const DIRECTORY: &str = "simulator/mutations";

/// The crates that mutants are built from, the simulator and what it stands on; of those with parts, only these.
pub const MEMBERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("encryption", &[]),
    ("mempool", &[]),
    ("consensus", &[]),
    ("rollup-adapters/core", &[]),
    ("sequencer", &[]),
    // Beside them is what the contracts are compiled with, which is large.
    ("contracts", &["Cargo.toml", "rust", "artifacts"]),
    ("node/secrets", &[]),
    ("simulator", &[]),
];

/// What stands for a run that does not get on, in place of a promise.
pub const LIVENESS: &str = "liveness";

/// One broken guard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// What the guard is there for: one sentence.
    pub guard: String,
    /// The built-in scenario in which it is seen.
    pub scenario: String,
    /// The promise whose oracle sees it, or [`LIVENESS`].
    pub promise: String,
    /// How it is broken.
    pub edits: Vec<Edit>,
}

/// One place of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The crate of another project that is patched; one of ours if none is named.
    pub package: Option<String>,
    /// The file, from the root of the workspace or of that crate.
    pub file: String,
    /// What stands there.
    pub find: String,
    /// What stands there in the mutant.
    pub replace: String,
}

impl Mutant {
    /// Reads a mutant.
    ///
    /// # Errors
    ///
    /// If the text is none.
    pub fn parse(name: &str, text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { name: name.to_owned(), ..toml::from_str(text)? })
    }

    /// All of them, by name.
    ///
    /// # Panics
    ///
    /// If one cannot be read.
    #[must_use]
    pub fn load_all(root: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(root.join(DIRECTORY)).expect("there are mutants");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("the directory reads").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        paths.sort();
        let load = |path: &PathBuf| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy();
            let text = std::fs::read_to_string(path).expect("a mutant is UTF-8");
            Self::parse(&name, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        paths.iter().map(load).collect()
    }
}

impl Edit {
    /// The text with the guard broken.
    ///
    /// # Errors
    ///
    /// How often the guard was found, if that is not once.
    pub fn apply(&self, text: &str) -> Result<String, usize> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            found => Err(found),
        }
    }
}

/// Where cargo keeps the source of a crate that this workspace depends on.
///
/// # Panics
///
/// If the workspace does not depend on it.
#[must_use]
pub fn package_directory(root: &Path, package: &str) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {complaint}");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let found = packages.iter().find(|found| found["name"] == package);
    let manifest = found.and_then(|found| found["manifest_path"].as_str());
    let manifest = manifest.unwrap_or_else(|| panic!("{package} is not in this workspace's build"));
    Path::new(manifest).parent().expect("a manifest is in a directory").to_owned()
}
