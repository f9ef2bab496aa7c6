//! The copy of the workspace that mutants are built in: the simulator's crates and nothing else, so that
//! neither the database nor the network is in the build.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use conclave_tests::mutation::{Edit, MEMBERS, Mutant, package_directory};

/// Those of them that are built again for nearly every mutant.
const PACKAGES: [&str; 3] = ["conclave-consensus", "conclave-sequencer", "conclave-simulator"];

/// Where crates of other projects that a mutant patches lie in the copy.
const VENDOR: &str = "vendor";

/// A copy that is this process's own while it lives.
pub(crate) struct Copy {
    sources: PathBuf,
    target: PathBuf,
    binary: PathBuf,
    unpatched: PathBuf,
    _lock: File,
}

impl Copy {
    /// Brings the copy up to date with the clone at `root`.
    pub(crate) fn make(root: &Path, mutants: &[Mutant]) -> Self {
        let cache =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
        let home = cache.join("mutants");
        let (sources, target) = (home.join("sources"), home.join("target"));
        fs::create_dir_all(&sources).expect("the target directory can be written to");
        let lock = File::create(home.join("lock")).expect("the target directory can be written to");
        lock.lock().expect("the file system can lock");
        let edits = mutants.iter().flat_map(|mutant| &mutant.edits);
        let vendored: BTreeSet<&str> = edits.filter_map(|edit| edit.package.as_deref()).collect();
        for (member, parts) in MEMBERS {
            let (from, to) = (root.join(member), sources.join(member));
            if parts.is_empty() {
                mirror(&from, &to);
            }
            for part in *parts {
                mirror(&from.join(part), &to.join(part));
            }
        }
        for package in &vendored {
            mirror(&package_directory(root, package), &sources.join(VENDOR).join(package));
        }
        let read =
            |name: &str| fs::read_to_string(root.join(name)).expect("the workspace is whole");
        let manifest = manifest(&read("Cargo.toml"), &vendored);
        write_if_new(&sources.join("Cargo.toml"), manifest.as_bytes());
        fs::write(sources.join("Cargo.lock"), read("Cargo.lock")).expect("the copy can be written");
        let binary = target.join("release/conclave-sim");
        let unpatched = home.join("conclave-sim-unpatched");
        Self { sources, target, binary, unpatched, _lock: lock }
    }

    /// Keeps the simulator as it is built now, without any patch.
    pub(crate) fn keep_unpatched(&self) {
        fs::copy(&self.binary, &self.unpatched).expect("the target directory can be written to");
    }

    /// The simulator without any patch.
    pub(crate) fn unpatched(&self) -> &Path {
        &self.unpatched
    }

    /// The simulator as it was last built.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Builds the simulator.
    pub(crate) fn build(&self) -> Result<(), String> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--offline", "--quiet"])
            .args(["--package", "conclave-simulator", "--bin", "conclave-sim"])
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(&self.sources)
            .output()
            .expect("cargo runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(complaint.into_owned()) }
    }

    /// Does `work` while the mutant is in place.
    pub(crate) fn with(&self, mutant: &Mutant, work: impl FnOnce() -> super::Fate) -> super::Fate {
        let mut originals = Vec::new();
        let mut failure = None;
        for edit in &mutant.edits {
            let path = self.path(edit);
            let original = fs::read_to_string(&path).expect("the patched file is in the copy");
            match edit.apply(&original) {
                Ok(patched) => fs::write(&path, patched).expect("the copy can be written"),
                Err(found) => failure = Some(format!("found {found} times in {}", edit.file)),
            }
            originals.push((path, original));
        }
        if failure.is_none() {
            failure = self.build().err();
        }
        let fate = failure.map_or_else(work, super::Fate::unseen);
        for (path, original) in originals.into_iter().rev() {
            fs::write(path, original).expect("the copy can be written");
        }
        fate
    }

    fn path(&self, edit: &Edit) -> PathBuf {
        match &edit.package {
            Some(package) => self.sources.join(VENDOR).join(package).join(&edit.file),
            None => self.sources.join(&edit.file),
        }
    }
}

/// The workspace's manifest with fewer members, and with crates of others in the place of the registry's.
fn manifest(text: &str, vendored: &BTreeSet<&str>) -> String {
    let mut manifest: toml::Table = text.parse().expect("the workspace's manifest is TOML");
    let workspace = manifest["workspace"].as_table_mut().expect("a workspace has a table");
    let members: Vec<toml::Value> = MEMBERS.iter().map(|(member, _)| (*member).into()).collect();
    workspace.insert("members".into(), members.into());
    let patch = |package: &&str| {
        let path = toml::Value::from(format!("{VENDOR}/{package}"));
        ((*package).to_owned(), toml::Table::from_iter([("path".to_owned(), path)]).into())
    };
    let patches: toml::Table = vendored.iter().map(patch).collect();
    let patches = toml::Table::from_iter([("crates-io".to_owned(), patches.into())]);
    manifest.insert("patch".into(), patches.into());
    // Each mutant is built once and runs for seconds, nearly all of them in the cryptography below.
    let quick = toml::Table::from_iter([("opt-level".to_owned(), toml::Value::from(1))]);
    let packages: toml::Table =
        PACKAGES.iter().map(|name| ((*name).to_owned(), quick.clone().into())).collect();
    let profiles = manifest["profile"].as_table_mut().expect("the workspace has a profile");
    let release = profiles["release"].as_table_mut().expect("the workspace has a profile");
    release.insert("package".into(), packages.into());
    manifest.to_string()
}

/// Makes `to` hold what `from` holds; what is the same stays untouched, or it would be built again.
fn mirror(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().expect("a file is in a directory"))
            .expect("the copy can be written");
        return write_if_new(to, &fs::read(from).expect("the file reads"));
    }
    fs::create_dir_all(to).expect("the copy can be written");
    let names = |directory: &Path| -> BTreeSet<_> {
        let entries = fs::read_dir(directory).expect("the directory reads");
        entries.map(|entry| entry.expect("the directory reads").file_name()).collect()
    };
    let here = names(from);
    for gone in names(to).difference(&here) {
        let path = to.join(gone);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("the copy can be written");
    }
    for name in here {
        mirror(&from.join(&name), &to.join(&name));
    }
}

fn write_if_new(path: &Path, bytes: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        fs::write(path, bytes).expect("the copy can be written");
    }
}
