//! Endpoints that are silent, lie, lag or contradict each other, and an account whose transactions wait. Each
//! endpoint is a server that answers by a script.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc, Mutex,
            atomic::{AtomicBool, AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use alloy::{
        consensus::{Transaction as _, TxEnvelope},
        eips::{BlockNumberOrTag, eip2718::Decodable2718 as _},
        primitives::{Address, B256, U256, hex, keccak256},
        signers::local::PrivateKeySigner,
        sol_types::{SolEvent as _, SolValue as _},
    };
    use axum::{Json, Router, extract::State, routing::post};
    use conclave_contracts::{
        ConclaveSlasher::Convicted,
        ForcedInclusion::{DepositQueued, REGISTRYCall},
    };
    use serde_json::{Value, json};

    use conclave_node::l1::{
        Call, Contracts, Endpoints, Fees, L1Error, Patience, Sender, TooFew, Waiting,
        evidence::convictions,
        observe::{ObserveError, Observer},
        origin::{OriginError, first_origin},
    };
    use conclave_types::{
        Deposit, Digest, Gwei, L1Content, L1Entry, L1EntryError, L1Origin, PayerAddress,
    };

    const CHAIN_ID: u64 = 31_337;

    /// What a server answers, by method; it may look at what was sent to it.
    type Answer = Arc<dyn Fn(&Value, &[TxEnvelope]) -> Result<Value, Value> + Send + Sync>;

    #[derive(Clone, Default)]
    struct Script {
        answers: BTreeMap<&'static str, Answer>,
        sent: Arc<Mutex<Vec<TxEnvelope>>>,
        /// Methods and what they were asked with.
        asked: Arc<Mutex<Vec<(String, Value)>>>,
    }

    impl Script {
        fn new() -> Self {
            let quiet = block(10, 0xa0);
            Self::default()
                .says("eth_chainId", json!(format!("{CHAIN_ID:#x}")))
                .says("eth_getBlockByNumber", quiet)
                .says("eth_maxPriorityFeePerGas", json!("0x3b9aca00"))
                .says("eth_getBalance", json!("0xde0b6b3a7640000"))
                .says("eth_getTransactionCount", json!("0x7"))
                .says("eth_estimateGas", json!("0x5208"))
                .says("eth_getTransactionReceipt", Value::Null)
        }

        fn says(self, method: &'static str, answer: Value) -> Self {
            self.does(method, move |_, _| Ok(answer.clone()))
        }

        fn does(
            mut self,
            method: &'static str,
            answer: impl Fn(&Value, &[TxEnvelope]) -> Result<Value, Value> + Send + Sync + 'static,
        ) -> Self {
            self.answers.insert(method, Arc::new(answer));
            self
        }

        fn answer(&self, request: &Value) -> Value {
            let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
            self.asked.lock().unwrap().push((method.to_owned(), params.clone()));
            let mut sent = self.sent.lock().unwrap();
            let answer = match self.answers.get(method) {
                Some(answer) => answer(params, &sent),
                None => Ok(Value::Null),
            };
            if method == "eth_sendRawTransaction" && answer.is_ok() {
                let raw = hex::decode(params[0].as_str().unwrap()).unwrap();
                sent.push(TxEnvelope::decode_2718_exact(&raw).unwrap());
                let hash = keccak256(&raw);
                return json!({"jsonrpc": "2.0", "id": request["id"], "result": hash});
            }
            match answer {
                Ok(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
                Err(error) => json!({"jsonrpc": "2.0", "id": request["id"], "error": error}),
            }
        }

        /// Serves the script; where.
        async fn serve(self) -> String {
            let handle = async |State(script): State<Self>, Json(request): Json<Value>| {
                Json(script.answer(&request))
            };
            let router = Router::new().route("/", post(handle)).with_state(self);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            url
        }
    }

    /// A block of that number whose hash ends in `mark`.
    fn block(number: u64, mark: u8) -> Value {
        let zero = B256::ZERO;
        let parent = hash(number.saturating_sub(1), mark);
        json!({
            "number": format!("{number:#x}"), "hash": hash(number, mark), "parentHash": parent,
            "sha3Uncles": zero, "miner": Address::ZERO, "stateRoot": zero, "transactionsRoot": zero,
            "receiptsRoot": zero, "logsBloom": format!("0x{}", "00".repeat(256)), "difficulty": "0x0",
            "gasLimit": "0x3938700", "gasUsed": "0x0", "timestamp": "0x0", "extraData": "0x",
            "mixHash": zero, "nonce": "0x0000000000000000", "baseFeePerGas": "0x3b9aca00",
            "uncles": [], "transactions": [],
        })
    }

    fn hash(number: u64, mark: u8) -> B256 {
        let mut hash = B256::ZERO;
        hash[23..31].copy_from_slice(&number.to_be_bytes());
        hash[31] = mark;
        hash
    }

    /// Answers for blocks, `finalized` being the newest final one.
    fn chain(finalized: u64, mark: u8) -> impl Fn(&Value, &[TxEnvelope]) -> Result<Value, Value> {
        move |params, _| {
            let asked = params[0].as_str().unwrap();
            let number =
                asked.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16).unwrap());
            Ok(block(number.unwrap_or(if asked == "finalized" { finalized } else { 100 }), mark))
        }
    }

    fn receipt(hash: B256) -> Value {
        json!({
            "transactionHash": hash, "transactionIndex": "0x0", "blockHash": self::hash(11, 0xa0),
            "blockNumber": "0xb", "from": Address::ZERO, "to": Address::ZERO, "status": "0x1",
            "cumulativeGasUsed": "0x5208", "gasUsed": "0x5208", "effectiveGasPrice": "0x3b9aca07",
            "logs": [], "logsBloom": format!("0x{}", "00".repeat(256)), "type": "0x2",
            "contractAddress": null,
        })
    }

    /// An endpoint that is not there.
    fn nowhere() -> String {
        "http://127.0.0.1:1".to_owned()
    }

    fn impatient() -> Patience {
        Patience {
            request: Duration::from_millis(500),
            look_every: Duration::from_millis(5),
            inclusion: Duration::from_millis(1_500),
            finality: Duration::from_millis(1_500),
        }
    }

    async fn connect(urls: &[String]) -> Result<Endpoints, L1Error> {
        Endpoints::connect(urls, Some(CHAIN_ID), impatient()).await
    }

    async fn sender(script: Script, cost_max: u64) -> Sender {
        let endpoints = connect(&[script.serve().await]).await.unwrap();
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let fees = Fees { cost_max: U256::from(cost_max), raise_every: Duration::from_millis(20) };
        Sender::new(endpoints, signer, fees)
    }

    fn transfer() -> Call {
        let to = Some(Address::repeat_byte(0xaa));
        Call { to, value: U256::from(1), data: Vec::new().into(), gas: None }
    }

    const ETHER: u64 = 1_000_000_000_000_000_000;

    #[tokio::test]
    async fn an_endpoint_that_is_gone_or_silent_is_passed_over() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = (format!("http://{}", silent.local_addr().unwrap()), silent);
        let urls = ["http://127.0.0.1:1".to_owned(), silent.0, Script::new().serve().await];
        let endpoints = connect(&urls).await.unwrap();
        let found = endpoints.block(BlockNumberOrTag::Latest).await.unwrap().unwrap();
        assert_eq!((found.number, found.hash), (10, hash(10, 0xa0)));
        let Err(L1Error::NoAnswer { failures, .. }) = connect(&urls[..2]).await else {
            panic!("nobody answers");
        };
        assert_eq!(failures.len(), 2);
        assert!(failures[1].contains("is silent for"), "{failures:?}");
    }

    #[tokio::test]
    async fn an_endpoint_of_another_chain_is_named() {
        let other = Script::new().says("eth_chainId", json!("0x1")).serve().await;
        let urls = [Script::new().serve().await, other.clone()];
        let Err(L1Error::WrongChain { url, expected, found }) = connect(&urls).await else {
            panic!("one serves another chain");
        };
        assert_eq!((url, expected, found), (other, CHAIN_ID, 1));
    }

    #[tokio::test]
    async fn what_is_no_address_and_what_needs_tls_is_said_at_once() {
        let refused = |url: &str| {
            let url = url.to_owned();
            async move { connect(&[url]).await.unwrap_err().to_string() }
        };
        assert!(refused("localhost").await.contains("expected http://HOST:PORT"));
        assert!(refused("ws://localhost:1").await.contains("expected http://HOST:PORT"));
        assert!(refused("https://localhost:1").await.contains("does not speak"));
        assert!(matches!(connect(&[]).await, Err(L1Error::NoEndpoint)));
    }

    #[tokio::test]
    async fn a_block_is_final_when_most_endpoints_say_so() {
        let serve =
            |finalized| Script::new().does("eth_getBlockByNumber", chain(finalized, 0xa0)).serve();
        let (ahead, level, behind) = (serve(90).await, serve(50).await, serve(49).await);
        let wanted = hash(50, 0xa0);
        let two = connect(&[ahead.clone(), level, behind.clone()]).await.unwrap();
        assert!(two.is_final(50, wanted).await.unwrap(), "two of three");
        assert!(!two.is_final(51, hash(51, 0xa0)).await.unwrap(), "one of three");
        let half = connect(&[ahead, behind]).await.unwrap();
        assert!(!half.is_final(50, wanted).await.unwrap(), "half is not most");
        assert!(!two.is_final(50, hash(50, 0xb0)).await.unwrap(), "another block");
    }

    #[tokio::test]
    async fn endpoints_that_call_different_blocks_final_are_an_error_unless_most_call_one() {
        let serve = |mark| Script::new().does("eth_getBlockByNumber", chain(90, mark)).serve();
        let (one, same, other) = (serve(0xa0).await, serve(0xa0).await, serve(0xb0).await);
        for urls in [[&one, &same, &other], [&one, &other, &same], [&other, &one, &same]] {
            let endpoints = connect(&urls.map(String::clone)).await.unwrap();
            assert!(endpoints.is_final(50, hash(50, 0xa0)).await.unwrap(), "two of three");
            assert!(!endpoints.is_final(50, hash(50, 0xb0)).await.unwrap(), "one of three");
        }
        for silent in [None, Some(nowhere())] {
            let urls: Vec<_> = [one.clone(), other.clone()].into_iter().chain(silent).collect();
            let error = connect(&urls).await.unwrap().is_final(50, hash(50, 0xa0)).await;
            let L1Error::Contradiction(found) = error.unwrap_err() else { panic!("{urls:?}") };
            assert_eq!((found.number, &found.one, &found.other), (50, &one, &other));
        }
    }

    #[tokio::test]
    async fn a_transaction_that_waits_offers_more_under_the_same_nonce() {
        // The third version is the one that is taken.
        let taken = |params: &Value, sent: &[TxEnvelope]| {
            let found = sent.get(2).filter(|third| json!(third.hash()) == params[0]);
            Ok(found.map_or(Value::Null, |third| receipt(*third.hash())))
        };
        let script = Script::new().does("eth_getTransactionReceipt", taken);
        let versions = Arc::clone(&script.sent);
        let sent = sender(script, ETHER).await.send(transfer()).await.unwrap();
        let versions = versions.lock().unwrap();
        assert_eq!(sent.hash(), *versions[2].hash());
        assert!(versions.iter().all(|version| version.nonce() == 7), "{versions:?}");
        let prices: Vec<_> = versions.iter().map(|version| version.max_fee_per_gas()).collect();
        assert!(prices.windows(2).all(|pair| pair[1] * 8 > pair[0] * 9), "{prices:?}");
    }

    #[tokio::test]
    async fn no_version_costs_more_than_the_cap() {
        // 86,250 gas at 4 gwei, where the first version offers 3.
        let cap = 86_250 * 4_000_000_000;
        let script = Script::new();
        let versions = Arc::clone(&script.sent);
        let sender = sender(script, cap).await;
        let late = sender.send(transfer()).await.unwrap_err();
        assert!(matches!(late, L1Error::NotIncluded { nonce: 7, .. }), "{late}");
        let versions = versions.lock().unwrap();
        let dearest = versions.iter().map(|version| version.max_fee_per_gas()).max().unwrap();
        assert!((3_000_000_000..=4_000_000_000).contains(&dearest), "{dearest}");
        assert!(versions.len() > 3, "at the cap it is told of again");
    }

    #[tokio::test]
    async fn what_the_account_cannot_or_may_not_pay_is_not_sent() {
        let script = Script::new();
        let sent = Arc::clone(&script.sent);
        let dear = sender(script.clone(), 1_000).await.send(transfer()).await.unwrap_err();
        assert!(matches!(dear, L1Error::TooDear { found: 1_000_000_000, .. }), "{dear}");
        let poor = sender(script.says("eth_getBalance", json!("0x1")), ETHER).await;
        let poor = poor.send(transfer()).await.unwrap_err();
        assert!(matches!(poor, L1Error::Funds { .. }), "{poor}");
        assert_eq!(sent.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_nonce_that_was_taken_meanwhile_is_asked_for_anew() {
        let counted = Arc::new(Mutex::new(0_u64));
        let (counts, refusals) = (Arc::clone(&counted), counted);
        let script = Script::new()
            .does("eth_getTransactionCount", move |_, _| {
                Ok(json!(format!("{:#x}", 7 + *counts.lock().unwrap())))
            })
            .does("eth_sendRawTransaction", move |_, _| {
                let mut refused = refusals.lock().unwrap();
                if *refused < 2 {
                    *refused += 1;
                    return Err(json!({"code": -32000, "message": "nonce too low"}));
                }
                Ok(Value::Null)
            })
            .does("eth_getTransactionReceipt", |_, sent| {
                Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
            });
        let sent = sender(script, ETHER).await.send(transfer()).await.unwrap();
        assert_eq!(sent.nonce, 9);
    }

    #[tokio::test]
    async fn what_waits_is_replaced_under_its_nonce_as_far_as_the_cap_allows() {
        let counted = |params: &Value, _: &[TxEnvelope]| {
            Ok(if params[1] == "latest" { json!("0x7") } else { json!("0x8") })
        };
        // What waits offers about 3.7 gwei.
        let underpriced = json!({"code": -32000, "message": "replacement transaction underpriced"});
        let offers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&offers);
        let script = Script::new()
            .does("eth_getTransactionCount", counted)
            .does("eth_sendRawTransaction", move |params, _| {
                let raw = hex::decode(params[0].as_str().unwrap()).unwrap();
                let offered = TxEnvelope::decode_2718_exact(&raw).unwrap();
                seen.lock().unwrap().push((offered.nonce(), offered.max_fee_per_gas()));
                if offered.max_fee_per_gas() < 3_700_000_000 {
                    return Err(underpriced.clone());
                }
                Ok(Value::Null)
            })
            .does("eth_getTransactionReceipt", |_, sent| {
                Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
            });
        let sent = sender(script.clone(), ETHER).await.send_instead(transfer()).await.unwrap();
        assert_eq!(sent.nonce, 7);
        let tried: Vec<_> = offers.lock().unwrap().drain(..).collect();
        assert!(tried.iter().all(|(nonce, _)| *nonce == 7), "{tried:?}");
        assert_eq!(tried.len(), 3, "{tried:?}");
        let dear = sender(script, 86_250 * 3_400_000_000).await.send_instead(transfer()).await;
        assert!(matches!(dear, Err(L1Error::Refused { .. })), "{dear:?}");
        assert_eq!(offers.lock().unwrap().len(), 2, "it does not offer more than it may");
    }

    #[tokio::test]
    async fn a_refusal_is_told_before_anything_is_sent() {
        let reverted = json!({"code": 3, "message": "execution reverted", "data": "0x11223344"});
        let script = Script::new().does("eth_estimateGas", move |_, _| Err(reverted.clone()));
        let sent = Arc::clone(&script.sent);
        let refused = sender(script, ETHER).await.send(transfer()).await.unwrap_err();
        let said = "the contract refuses: an error unknown to this version, 0x11223344";
        assert_eq!(refused.to_string(), said);
        assert_eq!(sent.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_transaction_that_a_reorganization_took_away_is_sent_again_until_it_is_final() {
        // In block 11, then in none, then in block 11 of the final chain.
        let looks = Arc::new(Mutex::new(0_u32));
        let script = Script::new()
            .does("eth_getTransactionReceipt", move |_, sent| {
                let mut looks = looks.lock().unwrap();
                *looks += 1;
                let is_there = *looks == 1 || sent.len() > 1;
                let found = sent.first().filter(|_| is_there);
                Ok(found.map_or(Value::Null, |first| receipt(*first.hash())))
            })
            .does("eth_getBlockByNumber", move |params, sent| {
                chain(if sent.len() > 1 { 11 } else { 10 }, 0xa0)(params, sent)
            });
        let versions = Arc::clone(&script.sent);
        let sender = sender(script, ETHER).await;
        let sent = sender.send(transfer()).await.unwrap();
        let mut waits = Vec::new();
        let is_final = sender.wait_final(&sent, |waiting| waits.push(waiting)).await.unwrap();
        assert_eq!((is_final.hash(), is_final.block()), (sent.hash(), 11));
        assert_eq!(waits[0], Waiting::Inclusion { hash: sent.hash(), block: 11 });
        let versions = versions.lock().unwrap();
        assert!(versions.len() > 1, "it was sent again");
        assert!(versions.iter().all(|version| version.hash() == versions[0].hash()), "as it was");
    }

    #[tokio::test]
    async fn what_is_in_no_block_any_more_is_sent_again_ever_later_and_called_what_it_is() {
        let looks = Arc::new(Mutex::new(0_u32));
        let script = Script::new().does("eth_getTransactionReceipt", move |_, sent| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            let found = sent.first().filter(|_| *looks == 1);
            Ok(found.map_or(Value::Null, |first| receipt(*first.hash())))
        });
        let (versions, log) = (Arc::clone(&script.sent), Arc::clone(&script.asked));
        let sender = sender(script, ETHER).await;
        let sent = sender.send(transfer()).await.unwrap();
        let mut waits = Vec::new();
        let error = sender.wait_final(&sent, |waiting| waits.push(waiting)).await.unwrap_err();
        assert!(matches!(error, L1Error::NotIncluded { nonce: 7, .. }), "{error}");
        assert_eq!(waits, [Waiting::Inclusion { hash: sent.hash(), block: 11 }]);
        // After 0, 5, 15, 35, … and 1,275 milliseconds, at best.
        let again = versions.lock().unwrap().len() - 1;
        assert!((2..=9).contains(&again), "{again}");
        let looks = asked(&log, "eth_getTransactionReceipt").len();
        assert!(looks > 20, "{looks}: it is looked for all the time");
    }

    /// A script whose receipts are not to be had from the second look on, until so many looks were made.
    fn silent_until(looks_max: u32) -> Script {
        let looks = Arc::new(Mutex::new(0_u32));
        Script::new().does("eth_getBlockByNumber", chain(11, 0xa0)).does(
            "eth_getTransactionReceipt",
            move |_, sent| {
                let mut looks = looks.lock().unwrap();
                *looks += 1;
                if (2..looks_max).contains(&*looks) {
                    return Err(json!({"code": -32_603, "message": "starting"}));
                }
                Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
            },
        )
    }

    #[tokio::test]
    async fn who_waits_for_finality_waits_out_a_silence_too() {
        let script = silent_until(12);
        let versions = Arc::clone(&script.sent);
        let sender = sender(script, ETHER).await;
        let sent = sender.send(transfer()).await.unwrap();
        let mut waits = Vec::new();
        let is_final = sender.wait_final(&sent, |waiting| waits.push(waiting)).await.unwrap();
        assert_eq!((is_final.hash(), is_final.block()), (sent.hash(), 11));
        assert_eq!(waits, [Waiting::Answer { hash: sent.hash(), block: 11 }], "told once");
        assert_eq!(versions.lock().unwrap().len(), 1, "nobody has said that it is in no block");
    }

    #[tokio::test]
    async fn one_that_denies_a_transaction_while_others_are_silent_says_nothing_of_the_chain() {
        // How many more times the others are silent.
        let silences = Arc::new(AtomicU64::new(0));
        let script = || {
            let silences = Arc::clone(&silences);
            Script::new().does("eth_getBlockByNumber", chain(11, 0xa0)).does(
                "eth_getTransactionReceipt",
                move |_, sent| {
                    let less = |left: u64| left.checked_sub(1);
                    let counted = silences.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                    if counted.is_ok() {
                        return Err(json!({"code": -32_603, "message": "starting"}));
                    }
                    Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
                },
            )
        };
        let denies = Script::new().does("eth_getBlockByNumber", chain(11, 0xa0));
        let urls = [denies.serve().await, script().serve().await, script().serve().await];
        let sender = sending(connect(&urls).await.unwrap());
        let sent = sender.send(transfer()).await.unwrap();
        silences.store(20, Ordering::SeqCst);
        let mut waits = Vec::new();
        let is_final = sender.wait_final(&sent, |waiting| waits.push(waiting)).await.unwrap();
        assert_eq!((is_final.hash(), is_final.block()), (sent.hash(), 11));
        assert_eq!(waits, [Waiting::Answer { hash: sent.hash(), block: 11 }]);
    }

    #[tokio::test]
    async fn who_waits_for_finality_does_not_wait_for_ever_for_an_answer() {
        let patience = Patience { inclusion: Duration::from_millis(200), ..impatient() };
        let url = silent_until(u32::MAX).serve().await;
        let endpoints = Endpoints::connect(&[url], Some(CHAIN_ID), patience).await.unwrap();
        let sender = sending(endpoints);
        let sent = sender.send(transfer()).await.unwrap();
        let error = sender.wait_final(&sent, |_| {}).await.unwrap_err();
        let L1Error::Silent { hash, block: 11, after, source } = &error else { panic!("{error}") };
        assert_eq!(*hash, sent.hash());
        assert!(*after >= patience.inclusion && *after < patience.finality, "{after:?}");
        assert!(matches!(**source, L1Error::NoAnswer { .. }), "{source}");
        let said = error.to_string();
        assert!(said.contains("it is sent") && said.contains(&sent.hash().to_string()), "{said}");
    }

    /// Three endpoints, of which the first is another than the rest.
    async fn three(first: Script, rest: Script, patience: Patience) -> Endpoints {
        let urls = [first.serve().await, rest.clone().serve().await, rest.serve().await];
        Endpoints::connect(&urls, Some(CHAIN_ID), patience).await.unwrap()
    }

    fn sending(endpoints: Endpoints) -> Sender {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let fees = Fees { cost_max: U256::from(ETHER), raise_every: Duration::from_secs(60) };
        Sender::new(endpoints, signer, fees)
    }

    fn refusing(message: &'static str) -> Script {
        let refusal =
            move |_: &Value, _: &[TxEnvelope]| Err(json!({"code": -32000, "message": message}));
        Script::new().does("eth_sendRawTransaction", refusal)
    }

    fn taken(_: &Value, sent: &[TxEnvelope]) -> Result<Value, Value> {
        Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
    }

    #[tokio::test]
    async fn what_one_says_to_know_and_does_not_show_is_not_sent_if_the_others_refuse_it() {
        // The honest take nothing when they are asked first.
        let refusals = Arc::new(AtomicU64::new(2));
        let full = move |_: &Value, _: &[TxEnvelope]| {
            let left = refusals
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if left.is_ok() {
                Err(json!({"code": -32000, "message": "txpool is full"}))
            } else {
                Ok(Value::Null)
            }
        };
        let honest = Script::new()
            .does("eth_sendRawTransaction", full)
            .does("eth_getTransactionReceipt", taken);
        let sent = Arc::clone(&honest.sent);
        let endpoints = three(refusing("already known"), honest, impatient()).await;
        let refused = sending(endpoints.clone()).send(transfer()).await.unwrap_err();
        assert!(refused.to_string().contains("refuses eth_sendRawTransaction"), "{refused}");
        assert_eq!(sent.lock().unwrap().len(), 0, "it is not said to be sent");
        assert_eq!(sending(endpoints).send(transfer()).await.unwrap().block(), 11);
    }

    #[tokio::test]
    async fn what_an_only_endpoint_says_to_know_is_handed_to_it_again_until_it_shows_it() {
        let attempts = Arc::new(AtomicU64::new(0));
        let (told, shown) = (Arc::clone(&attempts), Arc::clone(&attempts));
        let known = |_: &Value| json!({"code": -32000, "message": "already known"});
        let raw = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&raw);
        let script = Script::new()
            .does("eth_sendRawTransaction", move |params, _| {
                told.fetch_add(1, Ordering::Relaxed);
                *kept.lock().unwrap() = hex::decode(params[0].as_str().unwrap()).unwrap();
                Err(known(params))
            })
            .does("eth_getTransactionByHash", move |_, _| {
                let is_there = shown.load(Ordering::Relaxed) > 2;
                let found = TxEnvelope::decode_2718_exact(&raw.lock().unwrap()).unwrap();
                let mut found = serde_json::to_value(found).unwrap();
                for name in ["blockHash", "blockNumber", "transactionIndex"] {
                    found[name] = Value::Null;
                }
                found["from"] = json!(Address::ZERO);
                Ok(if is_there { found } else { Value::Null })
            });
        // Longer than this waits nobody raises a price.
        let endpoints = connect(&[script.serve().await]).await.unwrap();
        let error = sending(endpoints).send(transfer()).await.unwrap_err();
        assert!(matches!(error, L1Error::NotIncluded { nonce: 7, .. }), "{error}");
        assert_eq!(attempts.load(Ordering::Relaxed), 3, "and no more, since then it is shown");
    }

    #[tokio::test]
    async fn that_most_say_a_nonce_is_taken_counts_more_than_one_that_takes_or_knows_it() {
        for liar in [Script::new(), refusing("already known")] {
            let low = refusing("nonce too low");
            let started = Instant::now();
            let sender = sending(three(liar, low, impatient()).await);
            let error = sender.send_instead(transfer()).await.unwrap_err();
            assert!(matches!(error, L1Error::NonceTaken { nonce: 7, .. }), "{error}");
            assert!(started.elapsed() < impatient().inclusion, "at once");
        }
        // One alone that says so has nothing sent under another nonce.
        let liar = refusing("nonce too low");
        let log = Arc::clone(&liar.asked);
        let urls = [liar.serve().await, nowhere(), "http://127.0.0.1:2".to_owned()];
        let error = sending(connect(&urls).await.unwrap()).send(transfer()).await.unwrap_err();
        assert!(matches!(error, L1Error::Refused { .. }), "{error}");
        assert_eq!(asked(&log, "eth_sendRawTransaction").len(), 1);
    }

    /// Whoever is asked for a receipt has it at once; what was sent is nowhere.
    fn inventor(gas_used: u64) -> Script {
        let invented = move |params: &Value, _: &[TxEnvelope]| {
            let mut told = receipt(serde_json::from_value(params[0].clone()).unwrap());
            told["gasUsed"] = json!(format!("{gas_used:#x}"));
            told["effectiveGasPrice"] = json!("0xe8d4a51000");
            Ok(told)
        };
        Script::new().does("eth_getTransactionReceipt", invented)
    }

    #[tokio::test]
    async fn what_one_of_three_says_of_a_receipt_is_not_believed() {
        // The honest have it when they have been asked twice.
        let looks = Arc::new(Mutex::new(0_u32));
        let late = move |_: &Value, sent: &[TxEnvelope]| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            let found = sent.first().filter(|_| *looks > 4);
            Ok(found.map_or(Value::Null, |first| receipt(*first.hash())))
        };
        let honest = Script::new().does("eth_getTransactionReceipt", late);
        let sender = sending(three(inventor(30_000_000), honest, impatient()).await);
        let sent = sender.send(transfer()).await.unwrap();
        assert_eq!(sent.fee(), U256::from(21_000_u64 * 1_000_000_007));

        // Nobody else ever has it.
        let sender = sending(three(inventor(21_000), Script::new(), impatient()).await);
        let error = sender.send(transfer()).await.unwrap_err();
        assert!(matches!(error, L1Error::NotIncluded { nonce: 7, .. }), "{error}");

        // And what one alone denies has landed all the same.
        let taken = |_: &Value, sent: &[TxEnvelope]| {
            Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
        };
        let honest = Script::new().does("eth_getTransactionReceipt", taken);
        let sent = sending(three(Script::new(), honest, impatient()).await).send(transfer()).await;
        assert_eq!(sent.unwrap().block(), 11);
    }

    #[tokio::test]
    async fn nothing_costs_more_than_it_could_whatever_an_only_endpoint_says() {
        let sent = sender(inventor(30_000_000), ETHER).await.send(transfer()).await.unwrap();
        // 86,250 gas at 3 gwei, which is what was signed.
        assert_eq!(sent.fee(), U256::from(86_250_u64 * 3_000_000_000));
    }

    #[tokio::test]
    async fn what_goes_into_a_transaction_is_the_middle_of_what_three_say() {
        let taken = |_: &Value, sent: &[TxEnvelope]| {
            Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
        };
        let honest = Script::new().does("eth_getTransactionReceipt", taken);
        let refusal = json!({"code": 3, "message": "execution reverted", "data": "0x11223344"});
        let dear = |params: &Value, _: &[TxEnvelope]| {
            let mut told = chain(10, 0xa0)(params, &[])?;
            told["baseFeePerGas"] = json!("0xe8d4a51000");
            Ok(told)
        };
        let liars = [
            Script::new().says("eth_getBalance", json!("0x0")),
            Script::new().says("eth_getTransactionCount", json!("0xffff")),
            Script::new().says("eth_getTransactionCount", json!("0x0")),
            Script::new().says("eth_estimateGas", json!("0xffffff")),
            Script::new().says("eth_estimateGas", json!("0x1")),
            Script::new().does("eth_estimateGas", move |_, _| Err(refusal.clone())),
            Script::new().does("eth_getBlockByNumber", dear),
            Script::new().says("eth_maxPriorityFeePerGas", json!("0x746a528800")),
        ];
        for (number, liar) in liars.into_iter().enumerate() {
            let sent = Arc::clone(&honest.sent);
            sent.lock().unwrap().clear();
            let sender = sending(three(liar, honest.clone(), impatient()).await);
            sender.send(transfer()).await.unwrap();
            let sent = sent.lock().unwrap();
            let first = &sent[0];
            let terms = (first.nonce(), first.gas_limit(), first.max_fee_per_gas());
            assert_eq!(terms, (7, 86_250, 3_000_000_000), "lie {number}");
        }
    }

    /// Asks where a contract is.
    async fn where_it_is(endpoints: &Endpoints) -> Result<Address, L1Error> {
        endpoints.call(FORCED, &REGISTRYCall {}).await
    }

    #[tokio::test]
    async fn of_a_contract_is_believed_what_most_endpoints_say() {
        let (true_one, false_one) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let says = |address: Address| Script::new().says("eth_call", json!(address.into_word()));
        let refusal = json!({"code": 3, "message": "execution reverted", "data": "0x11223344"});
        let refuses = Script::new().does("eth_call", move |_, _| Err(refusal.clone()));
        for liar in [says(false_one), refuses.clone(), Script::new().says("eth_call", json!("0x"))]
        {
            let endpoints = three(liar, says(true_one), impatient()).await;
            assert_eq!(where_it_is(&endpoints).await.unwrap(), true_one);
        }
        let endpoints = three(says(false_one), refuses.clone(), impatient()).await;
        let refused = where_it_is(&endpoints).await.unwrap_err();
        assert!(matches!(refused, L1Error::Reverted(_)), "{refused}");

        // Of two that differ either may lie; and one alone of three may, too.
        let urls = [says(false_one).serve().await, says(true_one).serve().await, nowhere()];
        let two = connect(&urls[..2]).await.unwrap();
        let discord = where_it_is(&two).await.unwrap_err();
        let expected = L1Error::Discord { what: "eth_call", answering: 2, of: 2 };
        assert_eq!(discord.to_string(), expected.to_string());
        let alone = connect(&[urls[0].clone(), nowhere(), "http://127.0.0.1:2".to_owned()]).await;
        let few = where_it_is(&alone.unwrap()).await.unwrap_err();
        assert!(matches!(few, L1Error::TooFew(TooFew { answering: 1, of: 3, .. })), "{few}");
    }

    #[tokio::test]
    async fn whoever_was_a_block_behind_is_asked_again() {
        let looks = Arc::new(Mutex::new(0_u32));
        let (before, after) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let behind = Script::new().does("eth_call", move |_, _| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            Ok(json!(if *looks == 1 { before } else { after }.into_word()))
        });
        let level = Script::new().says("eth_call", json!(after.into_word()));
        let endpoints = connect(&[behind.serve().await, level.serve().await]).await.unwrap();
        assert_eq!(where_it_is(&endpoints).await.unwrap(), after);
    }

    #[tokio::test]
    async fn one_of_three_that_serves_another_chain_keeps_nobody_from_the_others() {
        let other = Script::new().says("eth_chainId", json!("0x1"));
        let endpoints = three(other.clone(), Script::new(), impatient()).await;
        assert_eq!(endpoints.chain_id(), CHAIN_ID);
        let urls = [Script::new().serve().await, other.serve().await, nowhere()];
        let error = connect(&urls).await.unwrap_err();
        assert!(matches!(&error, L1Error::WrongChain { url, .. } if *url == urls[1]), "{error}");
    }

    #[tokio::test]
    async fn one_that_is_silent_holds_nobody_up_when_most_have_answered() {
        // Were it waited for, this would take an hour and more.
        let patience = Patience { request: Duration::from_secs(3_600), ..impatient() };
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let taken = |_: &Value, sent: &[TxEnvelope]| {
            Ok(sent.first().map_or(Value::Null, |first| receipt(*first.hash())))
        };
        let honest = Script::new()
            .says("eth_call", json!(FORCED.into_word()))
            .does("eth_getTransactionReceipt", taken);
        let urls = [url, honest.clone().serve().await, honest.serve().await];
        let endpoints = Endpoints::connect(&urls, Some(CHAIN_ID), patience).await.unwrap();
        for _ in 0..100 {
            assert_eq!(where_it_is(&endpoints).await.unwrap(), FORCED);
        }
        assert_eq!(sending(endpoints).send(transfer()).await.unwrap().block(), 11);
    }

    /// An endpoint whose every answer goes on for ever.
    fn endless() -> String {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut request = [0; 4_096];
                    let read = stream.read(&mut request);
                    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n\"";
                    let mut written = read.and_then(|_| stream.write_all(head));
                    let more = vec![b'a'; 1 << 20];
                    while written.is_ok() {
                        written = stream.write_all(&more);
                    }
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off_by_its_length() {
        // By its length, and not because it takes long.
        let patience = Patience { request: Duration::from_secs(3_600), ..impatient() };
        let error = Endpoints::connect(&[endless()], Some(CHAIN_ID), patience).await.unwrap_err();
        let L1Error::NoAnswer { failures, .. } = &error else { panic!("{error}") };
        assert!(failures[0].contains("its answer is longer than 33554432 bytes"), "{failures:?}");
    }

    #[tokio::test]
    async fn six_weeks_of_convictions_are_read_in_pages_that_a_mean_endpoint_serves() {
        const NEWEST: u64 = 400_000;
        const OLDEST: u64 = NEWEST - 302_400;
        let convicted = |height: u64, l1_block: u64| {
            let named = [4, 3, 1, height, 0].map(U256::from);
            let told = Convicted {
                offence: keccak256(named.abi_encode()),
                validator: 4,
                epoch: 3,
                kind: 1,
                height,
                round: 0,
                reporter: Address::ZERO,
                seized: U256::from(32),
            };
            let data = told.encode_log_data();
            let log = json!({
                "address": contracts().slasher, "topics": data.topics(), "data": data.data,
                "blockNumber": format!("{l1_block:#x}"), "blockHash": B256::ZERO,
                "transactionHash": B256::ZERO, "transactionIndex": "0x0", "logIndex": "0x0",
                "removed": false,
            });
            (l1_block, log)
        };
        // The first and the last of those blocks, two on either side of a page, and one that is too old.
        let blocks = [OLDEST - 1, OLDEST, OLDEST + 9_999, OLDEST + 10_000, NEWEST];
        let told: Vec<_> = (7..).zip(blocks).map(|(height, at)| convicted(height, at)).collect();
        let script = Script::new().says("eth_getBlockByNumber", block(NEWEST, 0xa0)).does(
            "eth_getLogs",
            move |params, _| {
                let number = |name: &str| {
                    let digits = params[0][name].as_str().unwrap().trim_start_matches("0x");
                    u64::from_str_radix(digits, 16).unwrap()
                };
                let (from, to) = (number("fromBlock"), number("toBlock"));
                if to - from >= 1_000 {
                    return Err(json!({"code": -32000, "message": "too many blocks"}));
                }
                let here = told.iter().filter(|(at, _)| (from..=to).contains(at));
                Ok(here.map(|(_, log)| log.clone()).collect())
            },
        );
        let log = Arc::clone(&script.asked);
        let endpoints = connect(&[script.serve().await]).await.unwrap();
        let found = convictions(&endpoints, &contracts(), 4).await.unwrap();
        let found: Vec<_> = found.iter().map(|record| (record.height, record.l1_block)).collect();
        assert_eq!(found, [8, 9, 10, 11].into_iter().zip(blocks[1..].to_vec()).collect::<Vec<_>>());
        // Of each ten thousand blocks ten pages, after they were asked for whole.
        assert_eq!(asked(&log, "eth_getLogs").len(), 31 + 303);
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_is_read_is_asked_for_in_parts() {
        let script = Script::new().says("eth_getBlockByNumber", block(5_000, 0xa0)).does(
            "eth_getLogs",
            |params, _| {
                let number = |name: &str| {
                    let digits = params[0][name].as_str().unwrap().trim_start_matches("0x");
                    u64::from_str_radix(digits, 16).unwrap()
                };
                let (from, to) = (number("fromBlock"), number("toBlock"));
                Ok(if to - from >= 1_000 { json!("a".repeat(33 << 20)) } else { json!([]) })
            },
        );
        let log = Arc::clone(&script.asked);
        let patience = Patience { request: Duration::from_secs(60), ..impatient() };
        let urls = [script.serve().await];
        let endpoints = Endpoints::connect(&urls, Some(CHAIN_ID), patience).await.unwrap();
        assert_eq!(convictions(&endpoints, &contracts(), 4).await.unwrap(), []);
        // All, and then six pages.
        assert_eq!(asked(&log, "eth_getLogs").len(), 1 + 6);
    }

    /// The contract whose events are entries.
    const FORCED: Address = Address::repeat_byte(0xf0);

    /// A deposit in the queue.
    fn deposit(index: u64, l1_block: u64, gwei: u64) -> L1Entry {
        let payer = PayerAddress::new([0xaa; 20]);
        let content = L1Content::Deposit(Deposit { payer, amount: Gwei::new(gwei) });
        L1Entry { index, l1_block, content }
    }

    /// The event that tells of it, with its hash or another one.
    fn event(entry: &L1Entry, hash: Option<B256>) -> Value {
        let gwei = entry.deposit().unwrap().amount.as_u64();
        let told = DepositQueued {
            index: entry.index,
            payer: Address::repeat_byte(0xaa),
            amountGwei: gwei,
            entryHash: hash.unwrap_or_else(|| B256::from(*entry.hash().as_bytes())),
        };
        let data = told.encode_log_data();
        json!({
            "address": FORCED, "topics": data.topics(), "data": data.data,
            "blockNumber": format!("{:#x}", entry.l1_block), "blockHash": B256::ZERO,
            "transactionHash": B256::ZERO, "transactionIndex": "0x0", "logIndex": "0x0",
            "removed": false,
        })
    }

    /// A server of a chain with a queue; `told` are the events, `count` what the contract counts up to a block.
    fn queue(
        finalized: u64,
        told: Vec<(u64, Value)>,
        count: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Script {
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        Script::new()
            .does("eth_getBlockByNumber", chain(finalized, 0xa0))
            .does("eth_getLogs", move |params, _| {
                let hash: B256 = serde_json::from_value(params[0]["blockHash"].clone()).unwrap();
                let asked = number(&hash[23..31]);
                let here = told.iter().filter(|(block, _)| *block == asked);
                Ok(here.map(|(_, event)| event.clone()).collect())
            })
            .does("eth_call", move |params, _| {
                let input = hex::decode(params[0]["input"].as_str().unwrap()).unwrap();
                let counted = count(number(&input[28..36]));
                Ok(json!(B256::from(U256::from(counted))))
            })
    }

    /// Two entries: in blocks 51 and 53.
    fn entries() -> [L1Entry; 2] {
        [deposit(7, 51, 1), deposit(8, 53, 2)]
    }

    fn honest(finalized: u64) -> Script {
        let told = entries().map(|entry| (entry.l1_block, event(&entry, None)));
        queue(finalized, told.into(), |block| 7 + u64::from(block >= 51) + u64::from(block >= 53))
    }

    /// What was asked of a script under a method's name.
    fn asked(log: &Mutex<Vec<(String, Value)>>, method: &str) -> Vec<Value> {
        let log = log.lock().unwrap();
        log.iter().filter(|(asked, _)| asked == method).map(|(_, params)| params.clone()).collect()
    }

    /// Where the queue is; of the others nothing is heard.
    fn contracts() -> Contracts {
        let [stake, election, inbox, vault, registry, slasher] =
            [0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6].map(Address::repeat_byte);
        let (forced, since) = (FORCED, 3);
        Contracts { stake, election, inbox, forced, vault, registry, slasher, since }
    }

    /// An observer that stands at block 50, with 7 entries behind it.
    async fn observer(urls: &[String]) -> Observer {
        let hash = Digest::new(hash(50, 0xa0).0);
        let origin = L1Origin { number: 50, hash };
        Observer::new(connect(urls).await.unwrap(), contracts(), origin, 7)
    }

    #[tokio::test]
    async fn final_blocks_are_observed_in_order_with_their_entries_and_no_others() {
        let urls = [honest(53).serve().await, honest(60).serve().await, nowhere()];
        let mut observer = observer(&urls).await;
        let mut seen = Vec::new();
        while let Some(block) = observer.next().await.unwrap() {
            assert_eq!(block.parent, Digest::new(hash(block.origin.number - 1, 0xa0).0));
            seen.push((block.origin.number, block.entries));
        }
        let [first, second] = entries();
        assert_eq!(seen, [(51, vec![first]), (52, vec![]), (53, vec![second])]);
        assert_eq!(observer.position().1, 9);
        // Only one of three calls block 54 final.
        assert!(observer.next().await.unwrap().is_none());
    }

    /// Endpoints that say something else of block 51 than honest ones, each in its way.
    fn liars() -> [(&'static str, Script); 5] {
        let told = |entry: &L1Entry, hash| vec![(51, event(entry, hash))];
        let [true_one, _] = entries();
        let forged = told(&deposit(7, 51, 1_000), None);
        let no_entry = told(&true_one, Some(B256::repeat_byte(1)));
        [
            ("another entry", queue(60, forged, |_| 8)),
            ("none", queue(60, vec![], |_| 7)),
            ("what is no entry", queue(60, no_entry, |_| 8)),
            ("another count", queue(60, told(&true_one, None), |_| 9)),
            (
                "another block",
                queue(60, vec![], |_| 8).does("eth_getBlockByNumber", chain(60, 0xb0)),
            ),
        ]
    }

    #[tokio::test]
    async fn what_most_of_three_say_is_observed_and_whoever_says_something_else_is_named() {
        let (one, other) = (honest(60).serve().await, honest(60).serve().await);
        for (says, liar) in liars() {
            let liar = liar.serve().await;
            for urls in [[&liar, &one, &other], [&one, &liar, &other], [&one, &other, &liar]] {
                let mut observer = observer(&urls.map(String::clone)).await;
                assert_eq!(observer.dissents().count(), 0);
                let block = observer.next().await.unwrap().unwrap();
                let [first, second] = entries();
                assert_eq!((block.origin.number, block.entries), (51, vec![first]), "{says}");
                let dissents: Vec<_> = observer.dissents().cloned().collect();
                let [dissent] = &dissents[..] else { panic!("{says}: {dissents:?}") };
                assert_eq!((&dissent.url, &dissent.one, dissent.number), (&liar, &one, 51));
                let words = format!("L1 endpoint {liar} differs from {one} and most others about");
                assert!(dissent.to_string().starts_with(&words), "{dissent}");
                // Whatever it says of the blocks to come, it is not forgotten.
                assert_eq!(observer.next().await.unwrap().unwrap().entries, []);
                assert_eq!(observer.next().await.unwrap().unwrap().entries, [second]);
                assert_eq!(observer.dissents().count(), 1, "{says}");
            }
        }
    }

    #[tokio::test]
    async fn if_one_of_two_differs_or_of_two_that_answer_nothing_is_observed_and_both_are_named() {
        let one = honest(60).serve().await;
        for (says, liar) in liars() {
            let other = liar.serve().await;
            for silent in [None, Some(nowhere())] {
                let urls: Vec<_> = [one.clone(), other.clone()].into_iter().chain(silent).collect();
                let mut observer = observer(&urls).await;
                let before = observer.position();
                // Asked again and again it is no better.
                for _ in 0..2 {
                    let error = observer.next().await.unwrap_err();
                    let ObserveError::Contradiction { number: 51, one: quoted, other: named } =
                        error
                    else {
                        panic!("{says}: {error}")
                    };
                    assert_eq!((&quoted, &named), (&one, &other), "{says}");
                }
                assert_eq!((observer.position(), observer.dissents().count()), (before, 0));
            }
        }
    }

    #[tokio::test]
    async fn whoever_lags_or_has_failed_once_decides_who_of_two_others_is_believed() {
        let (one, liar) = (honest(60).serve().await, queue(60, vec![], |_| 7).serve().await);
        let newest_final = Arc::new(AtomicU64::new(50));
        let lagging = {
            let newest_final = Arc::clone(&newest_final);
            honest(60).does("eth_getBlockByNumber", move |params, sent| {
                chain(newest_final.load(Ordering::Relaxed), 0xa0)(params, sent)
            })
        };
        let mut observer = observer(&[one.clone(), liar.clone(), lagging.serve().await]).await;
        let error = observer.next().await.unwrap_err();
        assert!(matches!(error, ObserveError::Contradiction { number: 51, .. }), "{error}");
        newest_final.store(60, Ordering::Relaxed);
        let block = observer.next().await.unwrap().unwrap();
        assert_eq!(block.entries, entries()[..1]);

        let is_broken = AtomicBool::new(true);
        let failing = honest(60).does("eth_getLogs", move |params, _| {
            if is_broken.swap(false, Ordering::Relaxed) {
                return Err(json!({"code": -32000, "message": "out of order"}));
            }
            let asked: B256 = serde_json::from_value(params[0]["blockHash"].clone()).unwrap();
            let here = asked == hash(51, 0xa0);
            Ok(here.then(|| event(&entries()[0], None)).into_iter().collect())
        });
        let mut observer = self::observer(&[one, liar.clone(), failing.serve().await]).await;
        let block = observer.next().await.unwrap().unwrap();
        assert_eq!(block.entries, entries()[..1]);
        let dissents: Vec<_> = observer.dissents().map(|dissent| &dissent.url).collect();
        assert_eq!(dissents, [&liar]);
    }

    #[tokio::test]
    async fn a_final_block_is_asked_for_once_and_only_finality_while_there_is_none() {
        let script = honest(53);
        let log = Arc::clone(&script.asked);
        let mut observer = observer(&[script.serve().await]).await;
        for _ in 0..3 {
            observer.next().await.unwrap().unwrap();
        }
        let blocks = asked(&log, "eth_getBlockByNumber");
        assert_eq!(blocks, ["finalized", "0x33", "0x34", "0x35"].map(|at| json!([at, false])));
        assert_eq!(asked(&log, "eth_getLogs").len(), 3);
        for looks in 1..4 {
            assert_eq!(observer.next().await.unwrap(), None);
            let blocks = asked(&log, "eth_getBlockByNumber");
            assert_eq!(blocks[4..], vec![json!(["finalized", false]); looks]);
            assert_eq!(asked(&log, "eth_getLogs").len(), 3);
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_fails_is_left_alone_while_the_others_are_enough() {
        let refusal = json!({"code": -32000, "message": "out of order"});
        let broken = honest(60).does("eth_getBlockByNumber", move |_, _| Err(refusal.clone()));
        let log = Arc::clone(&broken.asked);
        let broken = broken.serve().await;
        let urls = [honest(60).serve().await, broken.clone(), honest(60).serve().await];
        let mut observer = observer(&urls).await;
        for _ in 0..10 {
            observer.next().await.unwrap().unwrap();
        }
        assert_eq!(observer.next().await.unwrap(), None);
        assert_eq!(asked(&log, "eth_getBlockByNumber").len(), 1);
        let failures: Vec<_> = observer.failures().collect();
        let [(url, reason)] = failures[..] else { panic!("{failures:?}") };
        assert_eq!(url, broken);
        assert!(reason.contains("out of order"), "{reason}");
    }

    #[tokio::test]
    async fn without_most_of_its_endpoints_nothing_is_observed_and_the_silent_ones_are_named() {
        let urls = [honest(60).serve().await, nowhere()];
        let error = observer(&urls).await.next().await.unwrap_err();
        let ObserveError::TooFew(TooFew { answering: 1, of: 2, failures }) = error else {
            panic!("{error}")
        };
        assert!(failures[0].contains(&nowhere()), "{failures:?}");
    }

    #[tokio::test]
    async fn before_the_contract_is_there_its_queue_is_empty() {
        let early =
            honest(60).says("eth_call", json!("0x")).does("eth_getLogs", |_, _| Ok(json!([])));
        let endpoints = connect(&[early.serve().await]).await.unwrap();
        let origin = L1Origin { number: 50, hash: Digest::new(hash(50, 0xa0).0) };
        let mut observer = Observer::new(endpoints, contracts(), origin, 0);
        assert_eq!(observer.next().await.unwrap().unwrap().entries, []);
    }

    #[tokio::test]
    async fn a_network_begins_at_a_final_block_up_to_which_the_queue_is_empty() {
        let filled_from =
            |first: u64| queue(60, vec![], move |block| u64::from(block >= first)).serve();
        let origin = |number: u64| L1Origin { number, hash: Digest::new(hash(number, 0xa0).0) };
        let begin = async |first: u64, number| {
            let endpoints = connect(&[filled_from(first).await]).await.unwrap();
            first_origin(&endpoints, FORCED, number).await
        };
        assert_eq!(begin(61, None).await, Ok(origin(60)), "the newest final one");
        assert_eq!(begin(60, None).await, Ok(origin(59)), "the last before the first entry");
        assert_eq!(begin(23, None).await, Ok(origin(22)));
        assert_eq!(begin(1, None).await, Ok(origin(0)));
        assert_eq!(begin(23, Some(7)).await, Ok(origin(7)), "any before is as good");
        let filled = OriginError::NotEmpty { number: 23, entries: 1 };
        assert_eq!(begin(23, Some(23)).await, Err(filled));
        let early = OriginError::NotFinal { number: 61, newest: 60 };
        assert_eq!(begin(61, Some(61)).await, Err(early));
    }

    #[tokio::test]
    async fn endpoints_that_differ_about_the_first_origin_are_an_error_unless_most_agree() {
        let other = Script::new().does("eth_getBlockByNumber", chain(60, 0xb0));
        let other = other.says("eth_call", json!(B256::ZERO)).serve().await;
        let honest = async || queue(60, vec![], |_| 0).serve().await;
        let (one, same) = (honest().await, honest().await);
        let first =
            async |urls: &[String]| first_origin(&connect(urls).await.unwrap(), FORCED, None).await;
        let agreed = L1Origin { number: 60, hash: Digest::new(hash(60, 0xa0).0) };
        assert_eq!(first(&[other.clone(), one.clone(), same]).await, Ok(agreed));
        let error = first(&[one.clone(), other.clone()]).await.unwrap_err();
        assert_eq!(error, OriginError::Contradiction { number: 60, one, other });
    }

    #[tokio::test]
    async fn entries_that_are_missing_forged_or_out_of_place_are_refused() {
        let good = deposit(7, 51, 1);
        let refused = |told: Vec<Value>, count: u64| async move {
            let told = told.into_iter().map(|event| (51, event)).collect();
            let url = queue(60, told, move |_| count).serve().await;
            let mut observer = observer(&[url]).await;
            let before = observer.position();
            let error = observer.next().await.unwrap_err();
            assert_eq!(observer.position(), before, "nothing was taken");
            error
        };
        let missing = refused(vec![], 8).await;
        assert!(matches!(missing, ObserveError::Incomplete { number: 51, expected: 8, found: 7 }));
        let invented = refused(vec![event(&good, None)], 7).await;
        assert!(matches!(invented, ObserveError::Incomplete { number: 51, expected: 7, found: 8 }));
        let forged = refused(vec![event(&good, Some(B256::repeat_byte(1)))], 8).await;
        assert!(matches!(forged, ObserveError::Event { number: 51, .. }));
        let gap = refused(vec![event(&deposit(8, 51, 1), None)], 8).await;
        let ObserveError::Entries { number: 51, source } = gap else { panic!("{gap}") };
        assert_eq!(source, L1EntryError::Index { expected: 7, found: 8 });
    }

    #[tokio::test]
    async fn a_block_that_does_not_build_on_the_observed_one_is_refused() {
        let endpoints = connect(&[honest(60).serve().await]).await.unwrap();
        let other = Digest::new(hash(50, 0xb0).0);
        let origin = L1Origin { number: 50, hash: other };
        let error = Observer::new(endpoints, contracts(), origin, 7).next().await.unwrap_err();
        let ObserveError::Parent { number: 51, expected, found } = error else { panic!("{error}") };
        assert_eq!((expected, found), (other, Digest::new(hash(50, 0xa0).0)));
    }
}
