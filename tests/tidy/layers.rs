//! Which crate may depend on which. The table below is the architecture; `ARCHITECTURE.md` draws it.
//!
//! The core (layers 0 to 2, without grpc, client and contracts) is a function: a runtime, a socket, a database or a
//! thread pool in its dependencies would be a way to break that without a line of ours saying so.
//! One edge is let through by name: Malachite's core declares `tokio` and uses nothing of it at run time
//! (its `process!` macro is synchronous), so tokio may be reached from there, and from nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::assert_none;

/// Each crate of the workspace, its layer, and which crates of the workspace it may use.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("conclave-types", 0, &[]),
    ("conclave-encryption", 1, &["conclave-types"]),
    ("conclave-mempool", 1, &["conclave-types", "conclave-encryption"]),
    ("conclave-consensus", 1, &["conclave-types"]),
    ("conclave-derivation", 1, &["conclave-types"]),
    (
        "conclave-sequencer",
        2,
        &[
            "conclave-types",
            "conclave-encryption",
            "conclave-mempool",
            "conclave-consensus",
            "conclave-derivation",
        ],
    ),
    // Generated gRPC stubs: the edge's counterpart of types, for the client and the shells.
    ("conclave-grpc", 2, &["conclave-types"]),
    (
        "conclave-client",
        2,
        &["conclave-types", "conclave-encryption", "conclave-derivation", "conclave-grpc"],
    ),
    // Short-lived secrets on disk, for the shells.
    ("conclave-secrets", 2, &["conclave-types"]),
    // Bindings of the L1 contracts, through an L1 client; and what they tell of, in the words of types, so that
    // the node and the simulator read it by the same code.
    ("conclave-contracts", 2, &["conclave-types", "conclave-consensus", "conclave-derivation"]),
    (
        "conclave-evm",
        3,
        &["conclave-types", "conclave-derivation", "conclave-grpc", "conclave-client"],
    ),
    (
        "conclave-node",
        3,
        &[
            "conclave-types",
            "conclave-encryption",
            "conclave-mempool",
            "conclave-consensus",
            "conclave-derivation",
            "conclave-sequencer",
            "conclave-grpc",
            "conclave-secrets",
            "conclave-client",
            "conclave-contracts",
        ],
    ),
    (
        "conclave-simulator",
        3,
        &[
            "conclave-types",
            "conclave-encryption",
            "conclave-mempool",
            "conclave-consensus",
            "conclave-derivation",
            "conclave-sequencer",
            "conclave-secrets",
            // The real contracts, for an L1 that is an EVM in memory.
            "conclave-contracts",
        ],
    ),
    // The shipped node around an adversary of the simulator.
    (
        "conclave-byzantine",
        4,
        &["conclave-types", "conclave-sequencer", "conclave-node", "conclave-simulator"],
    ),
    (
        "conclave-tests",
        4,
        &[
            "conclave-types",
            "conclave-encryption",
            "conclave-mempool",
            "conclave-consensus",
            "conclave-derivation",
            "conclave-sequencer",
            "conclave-grpc",
            "conclave-client",
            "conclave-contracts",
            "conclave-evm",
            "conclave-node",
            "conclave-simulator",
        ],
    ),
];

/// The crates whose production code is a function of its inputs.
pub(crate) const CORE: [&str; 6] = [
    "conclave-types",
    "conclave-encryption",
    "conclave-mempool",
    "conclave-consensus",
    "conclave-derivation",
    "conclave-sequencer",
];

/// What the core must not reach: runtimes, sockets, databases, RPC, threads, clocks, L1 clients.
/// A trailing `*` stands for any ending.
const IMPURE: [&str; 21] = [
    "tokio*",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "libp2p",
    "libp2p-swarm",
    "libp2p-stream",
    "rocksdb",
    "librocksdb-sys",
    "tonic*",
    "hyper*",
    "reqwest",
    "axum*",
    "alloy*",
    "ethrex*",
    "rayon*",
    "crossbeam*",
    "chrono",
    "time",
    "tempfile",
];

/// The only way into an impure crate: (who, what).
const LET_THROUGH: [(&str, &str); 1] = [("arc-malachitebft-core-consensus", "tokio")];

/// Binaries that may exist, by package. What misbehaves on purpose lives in the last three packages.
const BINARIES: [(&str, &[&str]); 5] = [
    ("conclave-node", &["conclave"]),
    ("conclave-evm", &["conclave-evm", "conclave-l1"]),
    ("conclave-simulator", &["conclave-sim"]),
    ("conclave-byzantine", &["conclave-byzantine"]),
    ("conclave-tests", &["conclave-mutants"]),
];

/// Package name → names of its normal and build dependencies.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The workspace as `cargo metadata` sees it.
struct Workspace {
    members: BTreeSet<String>,
    graph: Graph,
    binaries: BTreeSet<(String, String)>,
}

impl Workspace {
    fn load() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = std::process::Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--offline", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(conclave_tests::workspace_root())
            .output()
            .expect("cargo runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata failed: {complaint}");
        Self::read(&serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"))
    }

    fn read(metadata: &Value) -> Self {
        let names: BTreeMap<&str, &str> = list(&metadata["packages"])
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let name = |id: &Value| names[text(id)].to_owned();
        let mut graph = Graph::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let used = list(&node["deps"])
                .filter(|dep| list(&dep["dep_kinds"]).any(|kind| kind["kind"] == Value::Null))
                .map(|dep| name(&dep["pkg"]));
            graph.entry(name(&node["id"])).or_default().extend(used);
        }
        let members = list(&metadata["workspace_members"]).map(name).collect();
        let binaries = list(&metadata["packages"])
            .filter(|package| list(&metadata["workspace_members"]).any(|id| *id == package["id"]))
            .flat_map(|package| list(&package["targets"]).map(move |target| (package, target)))
            .filter(|(_, target)| list(&target["kind"]).any(|kind| kind == "bin"))
            .map(|(package, target)| (name(&package["id"]), text(&target["name"]).to_owned()))
            .collect();
        Self { members, graph, binaries }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a string here")
}

fn graph(edges: &[(&str, &[&str])]) -> Graph {
    edges
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect()
}

fn sideways_or_upward(graph: &Graph, members: &BTreeSet<String>) -> Vec<String> {
    let mut offences = Vec::new();
    for member in members {
        let Some((_, _, allowed)) = LAYERS.iter().find(|(name, ..)| name == member) else {
            offences.push(format!("{member} has no layer in tests/tidy/layers.rs"));
            continue;
        };
        let used = graph.get(member).into_iter().flatten().filter(|used| members.contains(*used));
        for used in used.filter(|used| !allowed.contains(&used.as_str())) {
            offences.push(format!("{member} uses {used}"));
        }
    }
    offences
}

fn is_impure(package: &str) -> bool {
    IMPURE.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => package == start || package.starts_with(&format!("{start}-")),
        None => package == *pattern,
    })
}

/// Impure crates that `root` reaches, each with the path that reaches it.
fn impure_paths(graph: &Graph, root: &str) -> Vec<String> {
    let mut offences = Vec::new();
    let mut seen = BTreeSet::from([root]);
    let mut paths = vec![vec![root]];
    while let Some(path) = paths.pop() {
        let last = path[path.len() - 1];
        for used in graph.get(last).into_iter().flatten() {
            if LET_THROUGH.contains(&(last, used)) {
                continue;
            }
            let longer = [path.as_slice(), &[used.as_str()]].concat();
            if is_impure(used) {
                offences.push(longer.join(" → "));
            } else if seen.insert(used) {
                paths.push(longer);
            }
        }
    }
    offences
}

fn reaches(graph: &Graph, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(package) = open.pop() {
        if package == to {
            return true;
        }
        if seen.insert(package) {
            open.extend(graph.get(package).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

fn unexpected_binaries(binaries: &BTreeSet<(String, String)>) -> Vec<String> {
    binaries
        .iter()
        .filter(|(package, binary)| {
            !BINARIES.iter().any(|(p, allowed)| p == package && allowed.contains(&binary.as_str()))
        })
        .map(|(package, binary)| format!("{package} builds {binary}"))
        .collect()
}

/// Each package of the workspace's build with its features, as `cargo tree` resolves them.
fn resolved(edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["tree", "--workspace", "--offline", "--locked", "--prefix", "none"])
        .args(["--format", "{p} [{f}]", "--edges", edges])
        .current_dir(conclave_tests::workspace_root())
        .output()
        .expect("cargo runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {complaint}");
    let printed = String::from_utf8(output.stdout).expect("cargo tree prints UTF-8");
    printed.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn binaries_and_tests_share_one_build_of_each_dependency() {
    let (with_tests, without) = (resolved("normal,build,dev"), resolved("normal,build"));
    let twice: Vec<String> = without.difference(&with_tests).cloned().collect();
    assert_none("built again for the tests, with other features", &twice);
}

#[test]
fn imports_go_down_never_sideways() {
    let workspace = Workspace::load();
    let offences = sideways_or_upward(&workspace.graph, &workspace.members);
    assert_none("a crate uses another that its layer may not", &offences);
}

#[test]
fn the_table_of_layers_itself_goes_down() {
    for (name, layer, allowed) in LAYERS {
        for used in *allowed {
            let (_, below, _) = LAYERS.iter().find(|(n, ..)| n == used).expect("listed");
            // The mempool checks seals and the client carries stubs: the two edges inside a layer.
            let inside = [
                ("conclave-mempool", "conclave-encryption"),
                ("conclave-client", "conclave-grpc"),
                ("conclave-evm", "conclave-derivation"),
            ];
            assert!(below < layer || inside.contains(&(name, used)), "{name} → {used}");
        }
    }
}

#[test]
fn a_sideways_import_is_an_offence() {
    let members = BTreeSet::from(["conclave-consensus".into(), "conclave-encryption".into()]);
    let graph = graph(&[("conclave-consensus", &["conclave-encryption", "thiserror"])]);
    assert_eq!(
        sideways_or_upward(&graph, &members),
        ["conclave-consensus uses conclave-encryption"]
    );
}

#[test]
fn a_crate_without_a_layer_is_an_offence() {
    let members = BTreeSet::from(["conclave-new".into()]);
    assert_eq!(
        sideways_or_upward(&Graph::new(), &members),
        ["conclave-new has no layer in tests/tidy/layers.rs"]
    );
}

#[test]
fn the_core_reaches_no_runtime_socket_database_or_thread() {
    let graph = Workspace::load().graph;
    let offences: Vec<String> = CORE.iter().flat_map(|core| impure_paths(&graph, core)).collect();
    assert_none("the core reaches an impure crate", &offences);
}

#[test]
fn a_hidden_runtime_is_an_offence_and_malachite_lets_only_itself_through() {
    let graph = graph(&[
        ("conclave-sequencer", &["conclave-consensus", "helper"]),
        ("conclave-consensus", &["arc-malachitebft-core-consensus"]),
        ("arc-malachitebft-core-consensus", &["tokio", "rayon"]),
        ("helper", &["tokio-util", "timer"]),
    ]);
    assert_eq!(
        impure_paths(&graph, "conclave-sequencer"),
        [
            "conclave-sequencer → helper → tokio-util",
            "conclave-sequencer → conclave-consensus → arc-malachitebft-core-consensus → rayon",
        ]
    );
}

#[test]
fn the_shipped_binaries_cannot_misbehave() {
    let workspace = Workspace::load();
    assert_none("a binary that nobody ships", &unexpected_binaries(&workspace.binaries));
    for shipped in ["conclave-node", "conclave-evm"] {
        for lab in ["conclave-simulator", "conclave-tests"] {
            assert!(!reaches(&workspace.graph, shipped, lab), "{shipped} links {lab}");
        }
    }
}

#[test]
fn a_misbehaving_binary_beside_the_node_is_an_offence() {
    let binaries = BTreeSet::from([
        ("conclave-node".into(), "conclave".into()),
        ("conclave-node".into(), "conclave-byzantine".into()),
    ]);
    assert_eq!(unexpected_binaries(&binaries), ["conclave-node builds conclave-byzantine"]);
    assert!(reaches(&graph(&[("a", &["b"]), ("b", &["c"])]), "a", "c"));
}

#[test]
fn the_validator_does_not_link_the_execution_client() {
    // Its big-number arithmetic is LGPL (deny.toml), and a validator executes nothing.
    let graph = Workspace::load().graph;
    assert!(!reaches(&graph, "conclave-node", "ethrex-vm"));
    assert!(reaches(&graph, "conclave-evm", "ethrex-vm"), "the rule looks at the right name");
}
