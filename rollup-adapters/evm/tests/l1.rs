//! The L1 of a devnet as its own process: what a wallet and a node rely on, and where the execution client alone
//! would answer wrongly.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use alloy::{
        eips::BlockId,
        primitives::{Address, B256, Bytes, U256},
        providers::Provider as _,
        rpc::types::{Filter, TransactionReceipt},
    };
    use serde_json::{Value, json};

    use super::common::{
        L1, l1_command,
        wallet::{Signed, Wallet, init_code},
    };

    const CHAIN_ID: u64 = 31_337;

    fn wallet(index: usize) -> Wallet {
        let mut wallet = Wallet::dev(index);
        wallet.chain_id = CHAIN_ID;
        wallet
    }

    async fn send(l1: &L1, signed: &Signed) {
        let pending = l1.at.provider.send_raw_transaction(&signed.raw).await.unwrap();
        assert_eq!(*pending.tx_hash(), signed.hash);
    }

    async fn receipt(l1: &L1, hash: B256) -> Option<TransactionReceipt> {
        l1.at.provider.get_transaction_receipt(hash).await.unwrap()
    }

    async fn number(l1: &L1, tag: &str) -> u64 {
        let block = l1.at.rpc("eth_getBlockByNumber", json!([tag, false])).await.unwrap();
        let number: U256 = serde_json::from_value(block["number"].clone()).unwrap();
        number.to()
    }

    async fn reorg(l1: &L1, how: Value) -> Result<Value, String> {
        l1.at.rpc("l1_reorg", json!([how])).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_seen_before_a_kill_is_there_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &[]).await;
        let mut wallet = wallet(0);
        let deployed = wallet.send(alloy::primitives::TxKind::Create, 0, init_code());
        send(&l1, &deployed).await;
        l1.mine(1).await;
        let contract = receipt(&l1, deployed.hash).await.unwrap().contract_address.unwrap();
        let word = Bytes::from(U256::from(42).to_be_bytes::<32>());
        // Several in one block: each must have its own receipt and its own logs afterwards.
        let calls = [0, 1, 2].map(|_| wallet.send(contract, 0, word.clone()));
        for call in &calls {
            send(&l1, call).await;
        }
        l1.mine(1).await;
        let mut before = Vec::new();
        for call in &calls {
            before.push(receipt(&l1, call.hash).await.unwrap());
        }
        let head = number(&l1, "latest").await;
        l1.kill();

        let l1 = L1::start(dir.path(), &[]).await;
        assert!(number(&l1, "latest").await >= head, "blocks that were seen are gone");
        for (call, before) in calls.iter().zip(before) {
            assert!(before.status() && before.inner.logs().len() == 1);
            assert_eq!(receipt(&l1, call.hash).await, Some(before));
        }
        let stored = l1.at.provider.get_storage_at(contract, U256::ZERO).await.unwrap();
        assert_eq!(stored, U256::from(42));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_leaves_the_pool_with_its_nonce_and_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &[]).await;
        let mut wallet = wallet(0);
        let to = Address::repeat_byte(0xaa);
        let first = wallet.send(to, 1, Bytes::new());
        send(&l1, &first).await;
        l1.mine(1).await;
        let pool = l1.at.rpc("txpool_status", json!([])).await.unwrap();
        assert_eq!((&pool["pending"], &pool["queued"]), (&json!("0x0"), &json!("0x0")));
        let second = wallet.send(to, 1, Bytes::new());
        send(&l1, &second).await;
        l1.mine(1).await;
        assert!(receipt(&l1, second.hash).await.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_pending_nonce_stops_before_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &[]).await;
        let wallet = wallet(0);
        for nonce in [0, 1, 3] {
            send(&l1, &wallet.send_with_nonce(nonce, Address::repeat_byte(0xaa), 1)).await;
        }
        let of = wallet.address();
        let pending = l1.at.provider.get_transaction_count(of).pending();
        assert_eq!(pending.await.unwrap(), 2);
        l1.mine(1).await;
        assert_eq!(l1.at.provider.get_transaction_count(of).await.unwrap(), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn safe_and_finalized_follow_the_head_at_their_depths() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &["--finality-depth", "6"]).await;
        l1.mine(10).await;
        let head = number(&l1, "latest").await;
        let depths = (number(&l1, "safe").await, number(&l1, "finalized").await);
        assert_eq!(depths, (head - 3, head - 6));
        let finalized = BlockId::finalized();
        let balance = l1.at.provider.get_balance(wallet(0).address()).block_id(finalized).await;
        assert_eq!(balance.unwrap(), U256::from(10_000) * U256::from(10).pow(U256::from(18)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_that_is_gone_is_refused_and_never_answered_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &[]).await;
        let mut wallet = wallet(0);
        l1.mine(1).await;
        let early = number(&l1, "latest").await;
        send(&l1, &wallet.send(Address::repeat_byte(0xaa), 1, Bytes::new())).await;
        l1.mine(150).await;
        let (of, at) = (wallet.address(), BlockId::number(early));
        let provider = &l1.at.provider;
        let answers = [
            provider.get_balance(of).block_id(at).await.map(drop),
            provider.get_transaction_count(of).block_id(at).await.map(drop),
            provider.get_code_at(of).block_id(at).await.map(drop),
            provider.get_storage_at(of, U256::ZERO).block_id(at).await.map(drop),
        ];
        for answer in answers {
            let said = answer.unwrap_err().to_string();
            assert!(said.contains("is pruned"), "{said}");
        }
        assert_eq!(provider.get_transaction_count(of).await.unwrap(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn questions_that_the_client_alone_fails_have_answers() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &[]).await;
        for (method, expected) in [
            ("eth_syncing", json!(false)),
            ("net_peerCount", json!("0x0")),
            ("net_listening", json!(true)),
            ("eth_accounts", json!([])),
            ("eth_chainId", json!("0x7a69")),
        ] {
            assert_eq!(l1.at.rpc(method, json!([])).await, Ok(expected), "{method}");
        }
        let head = number(&l1, "latest").await;
        let beyond = Filter::new().from_block(head).to_block(head + 1_000);
        assert_eq!(l1.at.provider.get_logs(&beyond).await.unwrap(), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reorganization_keeps_drops_or_returns_what_it_takes_away() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &["--finality-depth", "8"]).await;
        l1.mine(3).await;
        let wallet = wallet(0);
        let to = Address::repeat_byte(0xaa);
        let sent = wallet.send_with_nonce(0, to, 1);
        send(&l1, &sent).await;
        l1.mine(2).await;
        let before = receipt(&l1, sent.hash).await.unwrap();

        let done = reorg(&l1, json!({"depth": 2, "mode": "keep"})).await.unwrap();
        assert_eq!(done["returnedTransactions"], 0);
        let kept = receipt(&l1, sent.hash).await.unwrap();
        assert_eq!(kept.block_number, before.block_number);
        assert_ne!(kept.block_hash, before.block_hash);

        let done = reorg(&l1, json!({"depth": 3})).await.unwrap();
        assert_eq!(done["returnedTransactions"], 1);
        assert_eq!(receipt(&l1, sent.hash).await, None);
        assert_eq!(l1.at.balance(to).await, U256::ZERO);
        l1.mine(1).await;
        assert!(receipt(&l1, sent.hash).await.is_some(), "it waited in the pool");

        reorg(&l1, json!({"depth": 1, "mode": "drop"})).await.unwrap();
        l1.mine(1).await;
        assert_eq!(receipt(&l1, sent.hash).await, None);
        send(&l1, &sent).await;
        l1.mine(1).await;
        assert!(receipt(&l1, sent.hash).await.is_some(), "it can be sent again");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_final_stays_unless_the_opposite_is_asked_for_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::start(dir.path(), &["--finality-depth", "2"]).await;
        l1.mine(6).await;
        let head = number(&l1, "latest").await;
        let refused = [
            (json!({"depth": 3}), "finalized"),
            (json!({"depth": 0}), "expected 1 to"),
            (json!({"depth": head + 1}), "expected 1 to"),
            (json!({"depth": 2, "blocks": 2}), "expected more than depth"),
            (json!({"deep": 2}), "unknown field"),
        ];
        for (how, word) in refused {
            let said = reorg(&l1, how.clone()).await.unwrap_err();
            assert!(said.contains(word), "{how}: {said}");
        }
        assert_eq!(number(&l1, "latest").await, head, "nothing happened");
        reorg(&l1, json!({"depth": 3, "beyondFinality": true})).await.unwrap();
        assert_eq!(number(&l1, "latest").await, head + 1);
        assert_eq!(number(&l1, "finalized").await, head - 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_chain_is_driven_by_nobody_unless_it_was_started_so() {
        let dir = tempfile::tempdir().unwrap();
        let l1 = L1::run(l1_command(dir.path()), dir.path()).await;
        for method in ["l1_mine", "l1_pause", "l1_reorg"] {
            let said = l1.at.rpc(method, json!([])).await.unwrap_err();
            assert!(said.contains("needs conclave-l1 --control"), "{said}");
        }
    }

    /// Runs an L1 that cannot run; what it says.
    fn refusal(dir: &std::path::Path, options: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conclave-l1"));
        let output = command.arg("--data-dir").arg(dir).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_public_address_and_the_directory_of_another_chain_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let said = refusal(dir.path(), &["--rpc", "0.0.0.0:0"]);
        assert!(said.contains("is not on loopback"), "{said}");
        L1::start(dir.path(), &[]).await.kill();
        let said = refusal(dir.path(), &["--rpc", "127.0.0.1:0", "--chain-id", "5"]);
        assert!(said.contains("belongs to another chain"), "{said}");
        assert!(said.contains("chain-id = 31337") && said.contains("chain-id = 5"), "{said}");
    }
}
