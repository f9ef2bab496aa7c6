//! What a block's seeds are compared with is there before the first block that is opened under a key.

use super::*;
use crate::job::{BatchSeed, Job, JobOutput, KnownShares, ReceiveJob, ShareJob};

#[test]
fn whoever_receives_its_shares_is_prepared_for_the_epoch_and_for_those_that_follow() {
    let mut chain = Chain::new();
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    let receive = || {
        let dkg = chain.attempt();
        let key = Arc::new(Chain::holder_key(&dkg, 1));
        ReceiveJob { dkg, key, points: 1..2 }
    };
    let is_prepared = |output| {
        let JobOutput::Received { dkg, result: Ok(_) } = output else { panic!("{output:?}") };
        dkg.outcome().unwrap().key().sealing_key().is_prepared()
    };
    assert!(!is_prepared(receive().add_up()));
    assert!(is_prepared(Job::Receive(receive()).run()));
    chain.acknowledge(0..COUNT);
    chain.empty_until(|chain| chain.keys.attempt().is_none());
    assert!(chain.keys.newest().unwrap().sealing.is_prepared(), "in the epoch that begins");
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain.make_key();
    let next = chain.keys.newest().unwrap();
    assert!(next.epoch == Epoch::new(2) && next.key.sealing_key().is_prepared());
}

#[test]
fn whoever_restarts_is_prepared_before_the_block_is_decided() {
    let (genesis, _) = network(usize::from(COUNT));
    let share = |expect| {
        let keys = genesis.encryption_key.as_ref().unwrap();
        let key = conclave_encryption::PublicKey::new(genesis.network_id(), keys).unwrap();
        let key = Arc::new(key);
        let job = ShareJob {
            key: Arc::clone(&key),
            height: Height::new(1),
            block: conclave_types::BlockId::new([1; 32]),
            encapsulations: Vec::new(),
            secrets: None,
            known: KnownShares::default(),
            expect,
        };
        drop(Job::Share(job).run());
        key.sealing_key().is_prepared()
    };
    assert!(share(Some((Vec::new(), BatchSeed::new([1; 32])))), "it is voted upon");
    assert!(!share(None), "others wait for its shares");
}
