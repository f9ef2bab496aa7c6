//! JSON-RPC over HTTP, with a bound on what comes back. An endpoint that never stops talking must not fill the memory
//! of a node before the node is out of patience with it, nor its log with what it calls an error.

use std::task::{Context, Poll};

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket, ResponsePayload},
    transports::{
        TransportError, TransportErrorKind, TransportFut, TransportResult,
        http::reqwest::{Client, Response, Url, redirect::Policy},
    },
};
use tower_service::Service;

/// No answer is longer. The longest that is wanted are the entries of an L1 block: 1 MiB of transactions, twice as long
/// in hex, with what stands around them.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// What an endpoint says besides an answer is quoted up to here.
const WORDS_BYTES_MAX: usize = 400;
/// What a contract reverts with is believed up to here: an error of ours has a few words.
const REVERT_BYTES_MAX: usize = 16 << 10;

/// An answer is longer than is read.
#[derive(Debug, thiserror::Error)]
#[error("its answer is longer than {max} bytes")]
struct TooLong {
    max: usize,
}

/// Whether an endpoint has answered at greater length than is read: less may be asked for.
pub(super) fn is_too_long(error: &TransportError) -> bool {
    let custom = error.as_transport_err().and_then(TransportErrorKind::as_custom);
    custom.is_some_and(|custom| custom.is::<TooLong>())
}

/// What puts questions to one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
}

impl Http {
    /// What an endpoint points to instead of answering is not asked: it may be anything that this machine can reach.
    pub(super) fn new(url: Url) -> TransportResult<Self> {
        let client = Client::builder().redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(TransportErrorKind::custom)?, url })
    }

    async fn put(self, request: RequestPacket) -> TransportResult<ResponsePacket> {
        let posted = self.client.post(self.url).json(&request).send().await;
        let response = posted.map_err(TransportErrorKind::custom)?;
        let status = response.status();
        let body = body(response, ANSWER_BYTES_MAX).await?;
        // Some put an error of theirs into an answer of another status.
        match serde_json::from_slice::<ResponsePacket>(&body) {
            Ok(packet) if status.is_success() || packet.is_error() => Ok(concise(packet)),
            _ if !status.is_success() => {
                Err(TransportErrorKind::http_error(status.as_u16(), quoted(&body)))
            }
            Ok(_) => Err(TransportErrorKind::http_error(status.as_u16(), String::new())),
            Err(error) => Err(TransportError::deser_err(error, quoted(&body))),
        }
    }
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().put(request))
    }
}

/// The whole of an answer, unless it is longer than `max`.
async fn body(mut response: Response, max: usize) -> TransportResult<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(TransportErrorKind::custom)? {
        if body.len().saturating_add(chunk.len()) > max {
            return Err(TransportErrorKind::custom(TooLong { max }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The same, with errors of bounded length.
fn concise(mut packet: ResponsePacket) -> ResponsePacket {
    let responses = match &mut packet {
        ResponsePacket::Single(one) => std::slice::from_mut(one),
        ResponsePacket::Batch(all) => all.as_mut_slice(),
    };
    for response in responses {
        if let ResponsePayload::Failure(error) = &mut response.payload {
            if error.message.len() > WORDS_BYTES_MAX {
                error.message = quoted(error.message.as_bytes()).into();
            }
            error.data = error.data.take().filter(|data| data.get().len() <= REVERT_BYTES_MAX);
        }
    }
    packet
}

/// The beginning of what an endpoint said.
fn quoted(said: &[u8]) -> String {
    let beginning = said.get(..WORDS_BYTES_MAX).unwrap_or(said);
    let dots = if beginning.len() < said.len() { "…" } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(beginning))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, ErrorKind, Write as _},
        net::TcpListener,
        thread,
    };

    use alloy::rpc::{client::RpcClient, json_rpc::RpcError};
    use serde_json::json;

    use super::*;

    fn error(message: &str, data: &str) -> ResponsePacket {
        let error = json!({"code": -32000, "message": message, "data": data});
        let packet = json!({"jsonrpc": "2.0", "id": 1, "error": error});
        serde_json::from_value(packet).unwrap()
    }

    fn told(packet: ResponsePacket) -> (String, Option<usize>) {
        let ResponsePacket::Single(response) = concise(packet) else { panic!("one answer") };
        let ResponsePayload::Failure(error) = response.payload else { panic!("an error") };
        (error.message.into_owned(), error.data.map(|data| data.get().len()))
    }

    #[tokio::test]
    async fn nobody_else_is_asked_because_an_endpoint_says_so() {
        let [inside, endpoint] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address =
            |listener: &TcpListener| format!("http://{}/", listener.local_addr().unwrap());
        let (elsewhere, url) = (address(&inside), address(&endpoint));
        let sending_on = thread::spawn(move || {
            let (mut stream, _) = endpoint.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close";
            write!(stream, "{head}\r\nLocation: {elsewhere}\r\n\r\n").unwrap();
        });
        let client = RpcClient::new(Http::new(url.parse().unwrap()).unwrap(), false);
        let error = client.request_noparams::<u64>("eth_blockNumber").await.unwrap_err();
        sending_on.join().unwrap();
        let RpcError::Transport(TransportErrorKind::HttpError(found)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(found.status, 307);
        inside.set_nonblocking(true).unwrap();
        assert_eq!(inside.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn an_error_is_quoted_in_short_and_what_a_contract_says_is_kept_whole() {
        assert_eq!(told(error("reverted", "0x00")), ("reverted".to_owned(), Some(6)));
        let endless = "ü".repeat(1 << 20);
        let (message, data) = told(error(&endless, &endless));
        assert_eq!(message, format!("{}…", "ü".repeat(WORDS_BYTES_MAX / 2)));
        assert_eq!(data, None);
    }
}
