//! `kill -9` at any moment: the chain ends in the state of one that was never killed.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy::primitives::{Address, Bytes};
    use serde_json::Value;

    use super::common::{
        Node, Process, config,
        sequencer::{Script, Sequencer, push},
        wallet::{Wallet, init_code},
    };

    const RECEIVER: Address = Address::repeat_byte(0xaa);
    const BATCHES: u64 = 600;
    const KILLS: u64 = 12;

    /// Three hundred slots, so that states leave memory for disk on the way.
    fn script() -> Script {
        let mut script = Script::default();
        let mut wallets = [Wallet::dev(0), Wallet::dev(1), Wallet::dev(2)];
        for sequence in 0..BATCHES {
            let wallet = &mut wallets[usize::try_from(sequence % 3).unwrap()];
            let mut order = vec![wallet.send(RECEIVER, 1, Bytes::new()).raw, vec![0xff]];
            if sequence % 10 == 0 {
                order.push(wallet.send(alloy::primitives::TxKind::Create, 0, init_code()).raw);
            }
            push(&mut script, 500, order);
        }
        script.time_micros += 2_000_000;
        script
    }

    /// A fixed pseudo-random sequence.
    fn next(seed: &mut u64) -> u64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    fn state(status: &Value) -> [Value; 4] {
        ["headHash", "stateRoot", "headNumber", "nextSequence"].map(|field| status[field].clone())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_was_killed_again_and_again_ends_like_one_that_never_was() {
        let whole = script();
        let never_killed = Sequencer::start(whole.clone()).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![never_killed.url.clone()], dir.path())).await;
        let expected = state(&node.rollup.reached(BATCHES).await);
        node.stop().await;

        let start = Script { batches: whole.batches[..1].to_vec(), ..Script::default() };
        let sequencer = Sequencer::start(start).await;
        let dir = tempfile::tempdir().unwrap();
        let mut seed = 42;
        for kill in 1..=KILLS {
            // Every third one is killed while it starts or catches up.
            let process = if kill % 3 == 0 {
                Process::spawn(&sequencer.url, dir.path())
            } else {
                Process::start(&sequencer.url, dir.path()).await
            };
            let until = usize::try_from(BATCHES * kill / KILLS).unwrap();
            sequencer.change(|script| {
                script.batches = whole.batches[..until].to_vec();
                script.time_micros = script.batches[until - 1].time.as_micros();
            });
            // Somewhere in the work that this has set off: the moment is what is tested.
            let mut clock = tokio::time::interval(Duration::from_millis(1));
            for _ in 0..next(&mut seed) % 150 {
                clock.tick().await;
            }
            process.kill();
        }
        sequencer.change(|script| *script = whole.clone());
        let process = Process::start(&sequencer.url, dir.path()).await;
        assert_eq!(state(&process.rollup.reached(BATCHES).await), expected);
        let starts = sequencer.streams();
        assert!(starts.iter().any(|start| *start > 0), "it resumed from {starts:?}");
        for batch in &whole.batches {
            let hash = alloy::primitives::keccak256(&batch.items[0].transaction);
            let outcome = process.rollup.outcome(hash).await;
            assert_eq!(outcome["status"], "executed", "batch {}", batch.sequence);
        }
        process.kill();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_terminated_process_flushes_and_exits_cleanly() {
        let sequencer = Sequencer::start(script()).await;
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&sequencer.url, dir.path()).await;
        let before = state(&process.rollup.reached(BATCHES).await);
        let killed = std::process::Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        assert_eq!(process.exit_code().await, Some(0));
        assert!(!dir.path().join("rpc.addr").exists());
        let again = Process::start(&sequencer.url, dir.path()).await;
        assert_eq!(state(&again.rollup.status().await), before);
        again.kill();
    }
}
