//! An endpoint that lies. It stands before an L1 and passes on what that says, but for what it is told to lie about.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use alloy::{
    primitives::{Address, B256, U256, hex, keccak256},
    sol_types::{SolCall, SolEvent as _, SolValue as _},
};
use conclave_contracts::{
    ConclaveInbox, ConclaveSlasher::Convicted, ConclaveStake, ForcedInclusion,
    ForcedInclusion::DepositQueued,
};
use conclave_node::l1::Contracts;
use conclave_types::{Deposit, Gwei, L1Content, L1Entry, PayerAddress};
use serde_json::{Value, json};

use super::http;

/// What it lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// Every transaction is in a block at once, for 30 ether, and goes nowhere.
    FalseReceipts,
    /// No transaction ever is in a block, nor goes anywhere.
    NoReceipts,
    /// Nothing was ever told by a contract.
    NoLogs,
    /// Whoever is asked about was convicted, and somebody has deposited.
    MoreLogs,
    /// The contracts are other ones, which somebody else has deployed.
    OtherContracts,
    /// Contracts answer nothing but zeros.
    Zeros,
    /// Contracts answer nothing but ones.
    Ones,
    /// Contracts refuse everything, as if it was done before.
    Refusals,
    /// Gas costs a thousand gwei, and everything takes all that a transaction may have.
    Dear,
    /// Gas costs nothing, and nothing takes any.
    Cheap,
    /// The account has no ether, and a nonce that is far away.
    Poor,
    /// The newest blocks, final ones too, are far ahead.
    Ahead,
    /// They are far behind.
    Behind,
    /// It serves another chain.
    OtherChain,
    /// Nothing but errors.
    Errors,
    /// Nothing that could be read.
    Nonsense,
    /// Nothing at all.
    Silence,
    /// More than anybody could keep.
    Flood,
}

impl Lie {
    /// About contracts, transactions and prices.
    pub(crate) const WORDS: [Self; 11] = [
        Self::FalseReceipts,
        Self::NoReceipts,
        Self::NoLogs,
        Self::MoreLogs,
        Self::OtherContracts,
        Self::Zeros,
        Self::Ones,
        Self::Refusals,
        Self::Dear,
        Self::Cheap,
        Self::Poor,
    ];
    /// About where and what it is.
    pub(crate) const MANNERS: [Self; 7] = [
        Self::Ahead,
        Self::Behind,
        Self::OtherChain,
        Self::Errors,
        Self::Nonsense,
        Self::Silence,
        Self::Flood,
    ];
}

/// What it does instead of an answer.
enum Reply {
    Json(Value),
    Text(&'static str),
    Silence,
    Flood,
}

#[derive(Default)]
struct State {
    lies: Vec<Lie>,
    /// How often each was told.
    told: BTreeMap<Lie, u64>,
    /// The contracts, and those that somebody else has deployed.
    contracts: Option<(Contracts, Contracts)>,
}

/// Such an endpoint. It ends with the test's process.
#[derive(Clone)]
pub(crate) struct Liar {
    address: String,
    upstream: String,
    state: Arc<Mutex<State>>,
}

impl Liar {
    /// Stands before the L1 at `upstream`, and says the truth until it is told to lie.
    pub(crate) fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let liar = Self { address, upstream: upstream.to_owned(), state: Arc::default() };
        let serving = liar.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let liar = serving.clone();
                std::thread::spawn(move || liar.serve(stream));
            }
        });
        liar
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where contracts are, and others that somebody else has deployed.
    pub(crate) fn know(&self, contracts: Contracts, others: Contracts) {
        self.lock().contracts = Some((contracts, others));
    }

    /// Tells these lies from now on, and no others.
    pub(crate) fn tell(&self, lies: &[Lie]) {
        self.lock().lies = lies.to_vec();
    }

    /// How often it has told a lie.
    pub(crate) fn told(&self, lie: Lie) -> u64 {
        self.lock().told.get(&lie).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Answers what comes in on a connection, until its other end hangs up.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().ok()?;
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let request: Value = serde_json::from_slice(&body).ok()?;
            let lies = self.lock().lies.clone();
            let lie = lies.into_iter().find_map(|lie| Some((lie, self.lie(lie, &request)?)));
            let reply = lie.map(|(lie, reply)| {
                *self.lock().told.entry(lie).or_default() += 1;
                reply
            });
            match reply {
                None => write(&mut stream, &http::post(&self.upstream, &body).ok()?.1)?,
                Some(Reply::Json(answer)) => {
                    let mut answer = answer;
                    (answer["jsonrpc"], answer["id"]) = (json!("2.0"), request["id"].clone());
                    write(&mut stream, &answer.to_string())?;
                }
                Some(Reply::Text(text)) => write(&mut stream, text)?,
                Some(Reply::Silence) => {
                    // Until the other end is out of patience.
                    reader.read_exact(&mut [0]).ok()?;
                }
                Some(Reply::Flood) => flood(&mut stream)?,
            }
        }
    }

    /// What the L1 says.
    fn truth(&self, method: &str, params: &Value) -> Option<Value> {
        http::call(&self.upstream, method, params.clone())
    }

    /// What it answers if it lies about that; none if it has nothing to say against the truth.
    fn lie(&self, lie: Lie, request: &Value) -> Option<Reply> {
        let (method, params) = (request["method"].as_str()?, &request["params"]);
        let result = |value: Value| Some(Reply::Json(json!({ "result": value })));
        let error = |error: Value| Some(Reply::Json(json!({ "error": error })));
        match (lie, method) {
            (Lie::FalseReceipts | Lie::NoReceipts, "eth_sendRawTransaction") => {
                let raw = hex::decode(params[0].as_str()?).ok()?;
                result(json!(keccak256(raw)))
            }
            (Lie::FalseReceipts, "eth_getTransactionReceipt") => result(receipt(&params[0])),
            (Lie::NoReceipts, "eth_getTransactionReceipt") => result(Value::Null),
            (Lie::NoLogs, "eth_getLogs") => result(json!([])),
            (Lie::MoreLogs, "eth_getLogs") => {
                let mut logs = self.truth(method, params)?;
                logs.as_array_mut()?.extend(self.more_logs(&params[0])?);
                result(logs)
            }
            (Lie::MoreLogs, "eth_call") if calls::<ForcedInclusion::entriesUpToCall>(params) => {
                result(json!(B256::from(U256::from(1))))
            }
            (Lie::OtherContracts, "eth_call") => result(json!(self.elsewhere(params)?.into_word())),
            (Lie::Zeros, "eth_call") => result(words(0)),
            (Lie::Ones, "eth_call") => result(words(1)),
            (Lie::Refusals, "eth_call" | "eth_estimateGas") => {
                // `NotOpen(bytes32)`, which is what is said of a case that somebody has closed.
                let said = [&keccak256("NotOpen(bytes32)")[..4], &[0; 32]].concat();
                let data = hex::encode_prefixed(said);
                error(json!({ "code": 3, "message": "execution reverted", "data": data }))
            }
            (Lie::Dear, "eth_maxPriorityFeePerGas") => result(json!("0xe8d4a51000")),
            (Lie::Dear, "eth_estimateGas") => result(json!("0xffffff")),
            (Lie::Cheap, "eth_maxPriorityFeePerGas") => result(json!("0x0")),
            (Lie::Cheap, "eth_estimateGas") => result(json!("0x1")),
            (Lie::Dear, "eth_getBlockByNumber") => self.block(params, |block| {
                block["baseFeePerGas"] = json!("0xe8d4a51000");
            }),
            (Lie::Cheap, "eth_getBlockByNumber") => self.block(params, |block| {
                block["baseFeePerGas"] = json!("0x0");
            }),
            (Lie::Poor, "eth_getBalance") => result(json!("0x0")),
            (Lie::Poor, "eth_getTransactionCount") => result(json!("0xffff")),
            (Lie::Ahead, "eth_getBlockByNumber") if params[0] != "pending" => {
                self.block(params, |block| block["number"] = json!("0xffffff"))
            }
            (Lie::Behind, "eth_getBlockByNumber") => {
                self.block(params, |block| block["number"] = json!("0x1"))
            }
            (Lie::OtherChain, "eth_chainId") => result(json!("0x1")),
            (Lie::Errors, _) => error(json!({ "code": -32000, "message": "out of order" })),
            (Lie::Nonsense, _) => Some(Reply::Text("<html>502 Bad Gateway</html>")),
            (Lie::Silence, _) => Some(Reply::Silence),
            (Lie::Flood, _) => Some(Reply::Flood),
            _ => None,
        }
    }

    fn block(&self, params: &Value, change: impl Fn(&mut Value)) -> Option<Reply> {
        let mut block = self.truth("eth_getBlockByNumber", params)?;
        if !block.is_null() {
            change(&mut block);
        }
        Some(Reply::Json(json!({ "result": block })))
    }

    /// Where somebody else has deployed what a contract is asked for.
    fn elsewhere(&self, params: &Value) -> Option<Address> {
        let (_, other) = self.lock().contracts?;
        let table = [
            (ConclaveStake::ELECTIONCall::SELECTOR, other.election),
            (ConclaveStake::INBOXCall::SELECTOR, other.inbox),
            (ConclaveStake::SLASHERCall::SELECTOR, other.slasher),
            (ConclaveInbox::FORCEDCall::SELECTOR, other.forced),
            (ConclaveInbox::VAULTCall::SELECTOR, other.vault),
            (ForcedInclusion::REGISTRYCall::SELECTOR, other.registry),
        ];
        let asked = selector(params)?;
        table.into_iter().find(|(selector, _)| *selector == asked).map(|(_, address)| address)
    }

    /// A deposit, or convictions of everybody in each of the first epochs, by what is asked for.
    fn more_logs(&self, filter: &Value) -> Option<Vec<Value>> {
        let (contracts, _) = self.lock().contracts?;
        let asked = filter["address"].to_string().to_lowercase();
        let of = |address: Address| asked.contains(&hex::encode(address));
        if of(contracts.forced) && filter["blockHash"].is_string() {
            let block = self.truth("eth_getBlockByHash", &json!([filter["blockHash"], false]))?;
            let number = quantity(&block["number"])?;
            let payer = Address::repeat_byte(0xaa);
            let content = L1Content::Deposit(Deposit {
                payer: PayerAddress::new(payer.into_array()),
                amount: Gwei::new(1_000_000_000),
            });
            let entry = L1Entry { index: 0, l1_block: number, content };
            let told = DepositQueued {
                index: 0,
                payer,
                amountGwei: 1_000_000_000,
                entryHash: B256::from(*entry.hash().as_bytes()),
            };
            let data = told.encode_log_data();
            return Some(vec![log(contracts.forced, data.topics(), &data.data, number)]);
        }
        if !of(contracts.slasher) {
            return Some(Vec::new());
        }
        let everybody =
            (1..=4_u32).flat_map(|validator| (0..4_u64).map(move |epoch| (validator, epoch)));
        let convicted = everybody.flat_map(|of| [1_u8, 5].map(|kind| conviction(of, kind)));
        let log = |told: Convicted| {
            let data = told.encode_log_data();
            log(contracts.slasher, data.topics(), &data.data, 1)
        };
        Some(convicted.map(log).collect())
    }
}

fn conviction((validator, epoch): (u32, u64), kind: u8) -> Convicted {
    let (height, round) = (7_u64, 0_u32);
    let named = [u64::from(validator), epoch, u64::from(kind), height, u64::from(round)];
    Convicted {
        offence: keccak256(named.map(U256::from).abi_encode()),
        validator,
        epoch,
        kind,
        height,
        round,
        reporter: Address::repeat_byte(0xbb),
        seized: U256::from(32),
    }
}

fn log(address: Address, topics: &[B256], data: &[u8], block: u64) -> Value {
    json!({
        "address": address, "topics": topics, "data": hex::encode_prefixed(data),
        "blockNumber": format!("{block:#x}"), "blockHash": B256::ZERO,
        "transactionHash": B256::ZERO, "transactionIndex": "0x0", "logIndex": "0x0",
        "removed": false,
    })
}

fn receipt(hash: &Value) -> Value {
    json!({
        "transactionHash": hash, "transactionIndex": "0x0", "blockHash": B256::repeat_byte(0xee),
        "blockNumber": "0x1", "from": Address::ZERO, "to": Address::ZERO, "status": "0x1",
        "cumulativeGasUsed": "0x1c9c380", "gasUsed": "0x1c9c380",
        "effectiveGasPrice": "0xe8d4a51000", "logs": [],
        "logsBloom": format!("0x{}", "00".repeat(256)), "type": "0x2", "contractAddress": null,
    })
}

/// An answer of as many words as any contract gives.
fn words(word: u64) -> Value {
    json!(hex::encode_prefixed(U256::from(word).to_be_bytes::<32>().repeat(64)))
}

fn selector(params: &Value) -> Option<[u8; 4]> {
    let input = params[0]["input"].as_str().or_else(|| params[0]["data"].as_str())?;
    hex::decode(input.get(..10)?).ok()?.try_into().ok()
}

fn calls<C: SolCall>(params: &Value) -> bool {
    selector(params) == Some(C::SELECTOR)
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn write(stream: &mut TcpStream, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()
}

/// Sends an answer that does not end, until the other end hangs up.
fn flood(stream: &mut TcpStream) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"";
    stream.write_all(head.as_bytes()).ok()?;
    let more = vec![b'0'; 1 << 20];
    loop {
        stream.write_all(&more).ok()?;
    }
}
