//! Equivocation is caught, however late, and costs neither agreement nor liveness.

use std::{collections::BTreeSet, time::Duration};

use conclave_consensus::Evidence;

use crate::net::{Conduct, Net, Options};

fn run(conduct: Conduct, validators: usize, seed: u64) -> Net {
    let conduct = [(1, conduct)].into();
    let mut net = Net::new(Options { conduct, seed, ..Options::new(validators) });
    net.run();
    net
}

fn positions(evidence: &[Evidence]) -> BTreeSet<String> {
    let names = evidence.iter().map(|pair| match pair {
        Evidence::Votes(vote, _) => format!("{:?}{:?}", pair.at(), vote.kind),
        Evidence::Proposals(..) => format!("{:?}proposal", pair.at()),
    });
    names.collect()
}

#[test]
fn equivocator_is_evidence_for_everyone_and_agreement_holds() {
    for seed in 0..5 {
        let net = run(Conduct::Equivocates { after: Duration::ZERO }, 4, seed);
        for node in net.nodes.iter().filter(|node| node.decided.len() == 20).skip(2) {
            assert!(node.evidence.iter().any(|pair| matches!(pair, Evidence::Votes(..))));
            assert!(node.evidence.iter().any(|pair| matches!(pair, Evidence::Proposals(..))));
            assert_eq!(positions(&node.evidence).len(), node.evidence.len(), "each position once");
        }
    }
}

#[test]
fn conflicting_vote_that_is_400_ms_late_is_evidence() {
    let net = run(Conduct::Equivocates { after: Duration::from_millis(400) }, 4, 1);
    assert!(net.nodes[0].evidence.iter().any(|pair| matches!(pair, Evidence::Votes(..))));
    let late = net.nodes[0].evidence.iter().map(|pair| pair.at().0).collect::<BTreeSet<_>>();
    assert!(late.len() >= 15, "nearly every height: {late:?}");
}

#[test]
fn split_messages_do_not_split_the_decision() {
    for (validators, seed) in [(4, 1), (4, 2), (4, 3), (7, 4)] {
        run(Conduct::Splits, validators, seed);
    }
}
