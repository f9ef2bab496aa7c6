//! Just enough HTTP to ask a JSON-RPC server, and to send it what no library would.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

/// A server that says nothing for this long says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends raw bytes and reads until the other side has finished or is silent.
pub(crate) fn send_raw(address: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(answer),
        result => result.map(|_| answer),
    }
}

/// Posts a body; returns the status code and the body of the answer.
pub(crate) fn post(address: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // A server may refuse a body by its announced length, and stop reading.
    let written = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        written?;
        read?;
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned());
    Ok((code, body))
}

/// Calls a method; none while the server does not answer.
pub(crate) fn call(address: &str, method: &str, params: Value) -> Option<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, body) = post(address, request.to_string().as_bytes()).ok()?;
    let mut answer: Value = serde_json::from_str(&body).ok()?;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    Some(answer["result"].take())
}
