//! The JSON-RPC port takes anything and answers as JSON-RPC 2.0 says.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::common::{
        Node, config,
        sequencer::{Script, Sequencer},
    };

    /// Posts a body and answers with status and body.
    async fn post(url: &str, body: &[u8]) -> (u16, Value) {
        let address = url.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\norigin: http://wallet\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // The server may answer and close before it has read a body that is too large.
        let _whole = socket.write_all(body).await.is_ok();
        let mut answer = Vec::new();
        let _closed = socket.read_to_end(&mut answer).await.is_ok();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(head.to_lowercase().contains("access-control-allow-origin"), "{head}");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn garbage_gets_a_json_rpc_error_and_the_next_request_an_answer() {
        let sequencer = Sequencer::start(Script::default()).await;
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(config(vec![sequencer.url.clone()], dir.path())).await;
        let url = &node.rollup.url;
        let ask = json!({"jsonrpc": "2.0", "id": -7.5, "method": "eth_chainId"});
        let cases = [
            (b"".to_vec(), -32_700),
            (b"\xff\xfe garbage".to_vec(), -32_700),
            (b"{\"jsonrpc\":".to_vec(), -32_700),
            (b"[".repeat(100_000), -32_700),
            (b"[]".to_vec(), -32_600),
            (b"7".to_vec(), -32_600),
            (b"{\"id\":1}".to_vec(), -32_600),
            (b"{\"id\":{},\"method\":\"eth_chainId\"}".to_vec(), -32_600),
            (b"{\"id\":1,\"method\":7}".to_vec(), -32_600),
            (b"{\"id\":1,\"method\":\"eth_call\",\"params\":{}}".to_vec(), -32_602),
            (b"{\"id\":1,\"method\":\"nonsense\"}".to_vec(), -32_601),
            (b"{\"id\":1,\"method\":\"engine_newPayloadV4\"}".to_vec(), -32_601),
            (serde_json::to_vec(&vec![ask.clone(); 101]).unwrap(), -32_600),
        ];
        for (body, code) in cases {
            let (_, answer) = post(url, &body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
            assert_eq!(answer["jsonrpc"], "2.0");
        }
        let (status, _) = post(url, &vec![b' '; (4 << 20) + 1]).await;
        assert_eq!(status, 413);

        let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId"});
        assert_eq!(post(url, &serde_json::to_vec(&notification).unwrap()).await.0, 204);
        let batch = json!([ask, 7, notification, {"id": "x", "method": "eth_blockNumber"}]);
        let (_, answers) = post(url, &serde_json::to_vec(&batch).unwrap()).await;
        assert_eq!(answers.as_array().unwrap().len(), 3);
        assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": -7.5, "result": "0x385"}));
        assert_eq!(answers[1]["error"]["code"], -32_600);
        assert_eq!(answers[2], json!({"jsonrpc": "2.0", "id": "x", "result": "0x0"}));
        node.stop().await;
    }
}
