//! The stream may be chunked, repeated and broken; the chain is the same. What cannot be followed is
//! refused.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, Bytes};
    use conclave_evm::{
        chain::OpenError, database::DatabaseError, follow::FollowError, node::NodeError,
    };
    use tokio_util::sync::CancellationToken;

    use super::common::{
        Node, command, config, eventually,
        sequencer::{Script, Sequencer, genesis, push},
        wallet::Wallet,
    };

    const RECEIVER: Address = Address::repeat_byte(0xaa);

    /// Forty batches of transfers and garbage over about fifteen slots.
    fn script() -> Script {
        let mut script = Script::default();
        let mut wallets = [Wallet::dev(0), Wallet::dev(1), Wallet::dev(2)];
        for sequence in 0..40_u64 {
            let wallet = &mut wallets[usize::try_from(sequence % 3).unwrap()];
            let mut order = vec![wallet.send(RECEIVER, sequence + 1, Bytes::new()).raw];
            if sequence % 5 == 0 {
                order.push(vec![0x02, 0xc0]);
                order.push(wallet.send_with_nonce(1_000, RECEIVER, 1).raw);
            }
            push(&mut script, 100 + (sequence * 137) % 700, order);
        }
        script.time_micros += 2_000_000;
        script
    }

    /// Hashes of all blocks of a node that follows `sequencer`.
    async fn chain_of(sequencer: &Sequencer) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![sequencer.url.clone()], dir.path())).await;
        node.rollup.reached(40).await;
        let hashes = hashes(&node).await;
        node.stop().await;
        hashes
    }

    async fn hashes(node: &Node) -> Vec<String> {
        let head = node.rollup.status().await["headNumber"].as_u64().unwrap();
        let mut hashes = Vec::new();
        for number in 0..=head {
            let params = serde_json::json!([format!("{number:#x}"), false]);
            let block = node.rollup.rpc("eth_getBlockByNumber", params).await.unwrap();
            hashes.push(block["hash"].as_str().unwrap().to_owned());
        }
        hashes
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn block_hashes_do_not_depend_on_how_the_stream_arrives() {
        let smooth = Sequencer::start(script()).await;
        let expected = chain_of(&smooth).await;
        assert!(expected.len() > 10, "{} blocks", expected.len());
        assert_eq!(smooth.streams(), [0]);

        let broken = Script { break_after: Some(7), replay: 2, ..script() };
        let broken = Sequencer::start(broken).await;
        assert_eq!(chain_of(&broken).await, expected);
        assert!(broken.streams().len() > 3, "streams from {:?}", broken.streams());

        // One batch after the other, each only when the one before has arrived.
        let slow = Sequencer::start(Script::default()).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![slow.url.clone()], dir.path())).await;
        let script = script();
        for batch in &script.batches {
            slow.change(|script| {
                script.batches.push(batch.clone());
                script.time_micros = batch.time.as_micros();
            });
            let height = batch.height.as_u64();
            eventually("the batch arrives", || async {
                (node.rollup.status().await["revealedHeight"] == height).then_some(())
            })
            .await;
        }
        slow.pass(2_000);
        node.rollup.reached(40).await;
        assert_eq!(hashes(&node).await, expected);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_restarted_node_goes_on_from_its_head() {
        let sequencer = Sequencer::start(script()).await;
        let dir = tempfile::tempdir().unwrap();
        let config = config(vec![sequencer.url.clone()], dir.path());
        let node = Node::start(config.clone()).await;
        let before = node.rollup.reached(40).await;
        node.stop().await;
        let node = Node::start(config).await;
        let after = node.rollup.reached(40).await;
        assert_eq!(
            (&after["headHash"], &after["stateRoot"]),
            (&before["headHash"], &before["stateRoot"])
        );
        eventually("it asks for what is next", || async {
            (sequencer.streams() == [0, 40]).then_some(())
        })
        .await;
        let mut wallet = Wallet::stranger(9);
        sequencer.order(5_000, vec![wallet.send(RECEIVER, 1, Bytes::new()).raw]);
        sequencer.pass(1_000);
        node.rollup.reached(41).await;
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_gap_is_never_executed_and_another_sequencer_is_asked() {
        let gap = Sequencer::start(Script { omit: Some(20), ..script() }).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![gap.url.clone()], dir.path())).await;
        eventually("it asks again", || async { (gap.streams().len() > 3).then_some(()) }).await;
        let status = node.rollup.status().await;
        assert!(status["nextSequence"].as_u64().unwrap() <= 20, "{status}");
        node.stop().await;

        let whole = Sequencer::start(script()).await;
        let urls = vec![gap.url.clone(), whole.url.clone()];
        let node = Node::start(config(urls, dir.path())).await;
        node.rollup.reached(40).await;
        assert_eq!(hashes(&node).await, chain_of(&whole).await);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_data_directory_of_another_network_is_refused() {
        let ours = Sequencer::start(script()).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![ours.url.clone()], dir.path())).await;
        node.rollup.reached(40).await;
        node.stop().await;

        let other = Sequencer::start_as(genesis("another"), script()).await;
        let refused = config(vec![other.url.clone()], dir.path());
        let error = conclave_evm::node::run(refused, CancellationToken::new()).await.unwrap_err();
        let NodeError::Open(OpenError::Database(error)) = error else { panic!("{error:?}") };
        assert!(matches!(error, DatabaseError::OtherRules { .. }), "{error:?}");

        // The same with the process: a message for people, and a failing exit code.
        let output = command(&other.url, dir.path()).output().unwrap();
        assert!(!output.status.success());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("belongs to another chain"), "{message}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unknown_rollup_is_an_error_that_lists_the_known_ones() {
        let sequencer = Sequencer::start(script()).await;
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(vec![sequencer.url.clone()], dir.path());
        config.rollup = conclave_types::RollupId::new(7);
        let error = conclave_evm::node::run(config, CancellationToken::new()).await.unwrap_err();
        let NodeError::Follow(FollowError::UnknownRollup { known, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(known, [901]);
    }
}
