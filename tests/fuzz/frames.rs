//! What comes in on a libp2p stream before it is a message: the hello, then frames.

use conclave_node::network::{
    Lane,
    frame::{self, FrameError, HEADER_BYTES, Hello},
};
use conclave_sequencer::Message;
use conclave_types::{Height, NetworkId};
use futures::{executor::block_on, io::Cursor};

use crate::{fuzz, samples};

const OURS: Hello = Hello::new(NetworkId::new([1; 32]));

fn said(hello: Hello) -> Vec<u8> {
    let mut stream = Cursor::new(Vec::new());
    block_on(hello.write(&mut stream)).expect("memory takes every write");
    stream.into_inner()
}

fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Cursor::new(Vec::new());
    for payload in payloads {
        block_on(frame::write(&mut stream, payload)).expect("memory takes every write");
    }
    stream.into_inner()
}

#[test]
fn hello() {
    let ours = said(OURS);
    let corpus = [
        [ours.clone(), framed(&[b"and more".to_vec()])].concat(),
        said(Hello { version: 2, ..OURS }),
        said(Hello::new(NetworkId::ZERO)),
    ];
    fuzz("hello", &corpus, |bytes| {
        let heard = block_on(OURS.expect(&mut Cursor::new(bytes)));
        assert_eq!(heard.is_ok(), bytes.starts_with(&ours), "only our own hello passes");
    });
}

#[test]
fn frames_and_the_messages_in_them() {
    let status = Message::Status { decided: Height::new(7), revealed: Height::new(6) };
    let bundles = Message::Bundles(vec![std::sync::Arc::new(samples::bundle(272))]);
    let corpus = [
        framed(&[status.encode(), Vec::new(), status.encode()]),
        framed(&[bundles.encode(), status.encode()]),
    ];
    fuzz("frames", &corpus, |bytes| {
        for lane in [Lane::Urgent, Lane::Bulk] {
            read_to_the_end(bytes, lane.frame_bytes_max());
        }
    });
}

/// Reads frames until one is refused; each is what the bytes say, no more and no less.
fn read_to_the_end(bytes: &[u8], max: usize) {
    let mut stream = Cursor::new(bytes);
    let mut rest = bytes;
    loop {
        let payload = match block_on(frame::read(&mut stream, max)) {
            Ok(payload) => payload,
            Err(FrameError::Io(error)) => {
                return assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            }
            Err(FrameError::TooLong { found, .. }) => return assert!(found > max),
            Err(error) => panic!("a frame is no hello: {error}"),
        };
        assert!(payload.len() <= max, "longer than the lane takes");
        let whole = framed(std::slice::from_ref(&payload));
        assert_eq!(whole.len(), HEADER_BYTES + payload.len());
        rest = rest.strip_prefix(whole.as_slice()).expect("a frame is what came in");
        if let Ok(message) = Message::decode(&payload) {
            assert_eq!(message.encode(), payload, "two encodings of one message");
        }
    }
}
