//! What an Ethereum user expects of a chain, with transactions that a standard library signed.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use alloy::{
        eips::BlockNumberOrTag,
        primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
        providers::Provider as _,
        rpc::types::{Filter, TransactionRequest},
    };
    use serde_json::json;

    use super::common::{
        CHAIN_ID, Node, config,
        sequencer::{START, Script, Sequencer, bundle_id, push},
        wallet::{CONTRACT, Wallet, init_code},
    };

    const RECEIVER: Address = Address::repeat_byte(0xaa);

    struct World {
        sequencer: Sequencer,
        node: Node,
        _dir: tempfile::TempDir,
    }

    async fn world() -> World {
        let sequencer = Sequencer::start(Script::default()).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![sequencer.url.clone()], dir.path())).await;
        World { sequencer, node, _dir: dir }
    }

    impl World {
        /// Orders transactions, ends their slot and waits for the block.
        async fn execute(&self, transactions: Vec<Vec<u8>>) {
            let next = self.sequencer.order(1_000, transactions);
            self.sequencer.pass(1_000);
            self.node.rollup.reached(next).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn valid_transactions_run_in_order_and_invalid_ones_are_skipped_with_a_reason() {
        let world = world().await;
        let rollup = &world.node.rollup;
        let (mut alice, mut bob) = (Wallet::dev(0), Wallet::dev(1));
        let mut poor = Wallet::stranger(0x11);

        let transfer = alice.send(RECEIVER, 100, Bytes::new());
        let legacy = alice.send_legacy(RECEIVER, 10, true);
        let ancient = alice.send_legacy(RECEIVER, 5, false);
        let listed = alice.send_2930(RECEIVER, 1);
        let bad_nonce = alice.send_with_nonce(99, RECEIVER, 1_000);
        let reused = alice.send_with_nonce(0, RECEIVER, 1_000);
        let foreign = alice.send_on_chain(1, RECEIVER);
        let underfunded = poor.send(RECEIVER, 1, Bytes::new());
        let garbage = b"\x02 no transaction".to_vec();
        let mut trailing = bob.clone().send(RECEIVER, 1_000, Bytes::new()).raw;
        trailing.push(0);
        let last = bob.send(RECEIVER, 1_000_000, Bytes::new());
        let all =
            [&bad_nonce, &transfer, &reused, &legacy, &foreign, &ancient, &underfunded, &listed];
        let mut order: Vec<_> = all.iter().map(|signed| signed.raw.clone()).collect();
        order.extend([garbage.clone(), trailing.clone(), last.raw.clone()]);
        world.execute(order).await;

        assert_eq!(rollup.balance(RECEIVER).await, U256::from(1_000_116));
        let nonce = rollup.provider.get_transaction_count(alice.address()).await.unwrap();
        assert_eq!(nonce, 4);
        let included = [&transfer, &legacy, &ancient, &listed, &last];
        for (index, signed) in included.into_iter().enumerate() {
            let receipt = rollup.provider.get_transaction_receipt(signed.hash).await.unwrap();
            let receipt = receipt.unwrap();
            assert!(receipt.status());
            assert_eq!(receipt.transaction_index, Some(index as u64));
            assert_eq!(receipt.block_number, Some(1));
            assert_eq!(rollup.outcome(signed.hash).await["status"], "executed");
        }
        let skipped = [
            (bad_nonce.hash, "bad_nonce"),
            (reused.hash, "bad_nonce"),
            (foreign.hash, "wrong_chain"),
            (underfunded.hash, "underfunded"),
            (keccak256(garbage), "malformed"),
            (keccak256(trailing), "malformed"),
        ];
        for (hash, reason) in skipped {
            let outcome = rollup.outcome(hash).await;
            assert_eq!(outcome["status"], "skipped", "{outcome}");
            assert_eq!(outcome["reason"], reason, "{outcome}");
            assert!(rollup.provider.get_transaction_receipt(hash).await.unwrap().is_none());
        }
        let by_leg = json!([bundle_id(0, 4).to_string(), 0]);
        let by_leg = rollup.rpc("conclave_getTransactionOutcome", by_leg).await.unwrap();
        assert_eq!(by_leg["transactionHash"], json!(foreign.hash));
        assert_eq!(rollup.outcome(B256::repeat_byte(1)).await, json!(null));
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_contract_is_deployed_called_and_reverts_as_anywhere() {
        let world = world().await;
        let rollup = &world.node.rollup;
        let mut alice = Wallet::dev(0);
        let contract = alice.address().create(0);
        let value = B256::repeat_byte(0x77);
        let deploy = alice.send(TxKind::Create, 0, init_code());
        let call = alice.send(contract, 0, value.into());
        let revert = alice.send(contract, 0, Bytes::from_static(&[1]));
        let order = [&deploy, &call, &revert];
        world.execute(order.iter().map(|signed| signed.raw.clone()).collect()).await;

        let receipt = |hash| async move {
            rollup.provider.get_transaction_receipt(hash).await.unwrap().unwrap()
        };
        assert_eq!(receipt(deploy.hash).await.contract_address, Some(contract));
        let called = receipt(call.hash).await;
        assert_eq!(called.inner.logs().len(), 1);
        let reverted = receipt(revert.hash).await;
        assert!(!reverted.status());
        assert!(reverted.gas_used > 21_000, "a reverted transaction pays");
        assert_eq!(rollup.outcome(revert.hash).await["status"], "reverted");

        let code = rollup.provider.get_code_at(contract).await.unwrap();
        assert_eq!(alloy::hex::encode(code), CONTRACT);
        let request = TransactionRequest::default().to(contract);
        let read = rollup.provider.call(request.clone()).await.unwrap();
        assert_eq!(read, Bytes::from(value));
        let stored = rollup.provider.get_storage_at(contract, U256::ZERO).await.unwrap();
        assert_eq!(B256::from(stored), value);
        let bad = request.clone().input(Bytes::from_static(&[1]).into());
        let error = rollup.provider.call(bad).await.unwrap_err().to_string();
        assert!(error.contains("revert"), "{error}");
        let gas = rollup.provider.estimate_gas(request.input(Bytes::from(value).into())).await;
        assert!(gas.unwrap() > 21_000);
        let filter = Filter::new().address(contract).from_block(0).to_block(1_000_000);
        let logs = rollup.provider.get_logs(&filter).await.unwrap();
        assert_eq!((logs.len(), logs[0].transaction_hash), (1, Some(call.hash)));
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_head_alone_says_where_the_rollup_stands() {
        let world = world().await;
        let rollup = &world.node.rollup;
        let mut alice = Wallet::dev(0);
        world.sequencer.order(2_000, vec![alice.send(RECEIVER, 1, Bytes::new()).raw]);
        world.sequencer.order(300, vec![alice.send(RECEIVER, 1, Bytes::new()).raw]);
        world.execute(vec![b"only garbage".to_vec()]).await;

        let block = rollup.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        let block = block.unwrap().unwrap();
        let last = keccak256("block 2");
        assert_eq!(block.header.number, 2, "three batches in two slots");
        assert_eq!(block.header.timestamp, START + 3);
        assert_eq!(block.header.parent_beacon_block_root, Some(last));
        assert_eq!(block.header.mix_hash, keccak256("randomness 2"));
        assert_eq!(block.transactions.len(), 0, "its only transaction was skipped");
        let status = rollup.status().await;
        // Heights 1, 3 and 6.
        let expected =
            [("nextSequence", json!(3)), ("lastHeight", json!(6)), ("chainId", json!(901))];
        for (field, value) in expected {
            assert_eq!(status[field], value, "{field}");
        }
        assert_eq!(status["headHash"], json!(block.header.hash));
        assert_eq!(status["stateRoot"], json!(block.header.state_root));
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_fit_into_the_block_is_skipped_and_the_rest_goes_on() {
        let world = world().await;
        let rollup = &world.node.rollup;
        let (alice, mut bob) = (Wallet::dev(0), Wallet::dev(1));
        let hog = |nonce, gas_limit| {
            alice.sign_1559(alloy::consensus::TxEip1559 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit,
                max_fee_per_gas: 10_000_000_000,
                max_priority_fee_per_gas: 0,
                to: RECEIVER.into(),
                ..Default::default()
            })
        };
        let (too_large, capped) = (hog(0, 30_000_001), hog(0, 16_777_217));
        let after = bob.send(RECEIVER, 7, Bytes::new());
        world.execute(vec![too_large.raw, capped.raw, after.raw]).await;
        assert_eq!(rollup.outcome(too_large.hash).await["reason"], "block_gas");
        assert_eq!(rollup.outcome(capped.hash).await["reason"], "refused");
        assert_eq!(rollup.balance(RECEIVER).await, U256::from(7));
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wallets_get_an_answer_to_everything_they_ask() {
        let world = world().await;
        let rollup = &world.node.rollup;
        let mut alice = Wallet::dev(0);
        world.execute(vec![alice.send(RECEIVER, 3, Bytes::new()).raw]).await;
        let receiver = json!(RECEIVER);
        let answers = [
            ("eth_chainId", json!([]), json!("0x385")),
            ("net_version", json!([]), json!("901")),
            ("eth_blockNumber", json!([]), json!("0x1")),
            ("eth_syncing", json!([]), json!(false)),
            ("net_peerCount", json!([]), json!("0x0")),
            ("eth_accounts", json!([]), json!([])),
            ("eth_getBalance", json!([receiver]), json!("0x3")),
            ("eth_getBalance", json!([receiver, "pending"]), json!("0x3")),
            ("eth_getBalance", json!([receiver, "finalized"]), json!("0x0")),
            ("eth_getLogs", json!([{"fromBlock": "0x9", "toBlock": "0x99"}]), json!([])),
        ];
        for (method, params, expected) in answers {
            assert_eq!(rollup.rpc(method, params).await, Ok(expected), "{method}");
        }
        for tag in [BlockNumberOrTag::Safe, BlockNumberOrTag::Finalized] {
            let block = rollup.provider.get_block_by_number(tag).await.unwrap().unwrap();
            assert_eq!(block.header.number, 0, "nothing is settled yet");
        }
        rollup.provider.get_fee_history(4, BlockNumberOrTag::Latest, &[50.0]).await.unwrap();
        rollup.provider.get_gas_price().await.unwrap();
        rollup.provider.get_max_priority_fee_per_gas().await.unwrap();
        rollup.provider.get_proof(RECEIVER, vec![]).await.unwrap();

        let raw = alice.send(RECEIVER, 3, Bytes::new()).raw;
        let error = rollup.provider.send_raw_transaction(&raw).await.unwrap_err().to_string();
        assert!(error.contains("conclave submit"), "{error}");
        let error = rollup.rpc("eth_getBalance", json!([receiver, "0x99"])).await.unwrap_err();
        assert!(error.contains("header not found"), "{error}");
        let error = rollup.rpc("debug_setHead", json!(["0x0"])).await.unwrap_err();
        assert!(error.contains("-32601"), "{error}");
        let overrides = json!([{"to": receiver}, "latest", {"0x00": {"balance": "0x1"}}]);
        let error = rollup.rpc("eth_call", overrides).await.unwrap_err();
        assert!(error.contains("not supported"), "{error}");
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn states_that_are_gone_are_refused_not_guessed() {
        const BLOCKS: u64 = 300;
        let mut script = Script::default();
        let mut alice = Wallet::dev(0);
        for _ in 0..BLOCKS {
            push(&mut script, 1_000, vec![alice.send(RECEIVER, 1, Bytes::new()).raw]);
        }
        let world = world().await;
        world.sequencer.change(|now| *now = script);
        world.sequencer.pass(1_000);
        let rollup = &world.node.rollup;
        rollup.reached(BLOCKS).await;
        let mut refused = 0;
        for number in 1..=BLOCKS {
            let at = format!("{number:#x}");
            match rollup.rpc("eth_getBalance", json!([RECEIVER, at])).await {
                Ok(balance) => assert_eq!(balance, json!(at), "one wei a block"),
                Err(error) => {
                    assert!(error.contains("pruned"), "{error}");
                    assert!(number <= BLOCKS - 100, "block {number} is recent");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "this test needs more blocks than the client keeps states");
        world.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn mauled_transactions_halt_nothing() {
        let world = world().await;
        let (mut alice, mut bob) = (Wallet::dev(0), Wallet::dev(1));
        let originals = [
            alice.clone().send(RECEIVER, 1, Bytes::from(vec![7; 40])).raw,
            alice.clone().send_legacy(RECEIVER, 1, true).raw,
            alice.clone().send_2930(RECEIVER, 1).raw,
            alice.clone().send(TxKind::Create, 0, init_code()).raw,
        ];
        let mut order = Vec::new();
        for original in &originals {
            for at in 0..original.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut mauled = original.clone();
                    mauled[at] ^= flip;
                    order.push(mauled);
                }
                order.push(original[..at].to_vec());
            }
            for first in 0..=u8::MAX {
                order.push([&[first], &original[1..]].concat());
            }
        }
        let after = bob.send(RECEIVER, 0, Bytes::new());
        order.push(after.raw);
        world.execute(order).await;
        let rollup = &world.node.rollup;
        assert_eq!(rollup.outcome(after.hash).await["status"], "executed");
        let status = rollup.status().await;
        assert_eq!((&status["headNumber"], &status["connected"]), (&json!(1), &json!(true)));
        // The only valid ones among them are Alice's own, at most one for her first nonce.
        assert!(rollup.provider.get_transaction_count(alice.address()).await.unwrap() <= 1);
        alice.nonce = rollup.provider.get_transaction_count(alice.address()).await.unwrap();
        let next = alice.send(RECEIVER, 0, Bytes::new());
        world.execute(vec![next.raw]).await;
        assert_eq!(rollup.outcome(next.hash).await["status"], "executed");
        world.node.stop().await;
    }
}
