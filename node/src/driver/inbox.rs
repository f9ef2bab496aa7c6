//! What waits for the driver, in four queues: what must not wait behind messages, messages that are
//! urgent, messages that are large, and what the public asks and hands in.
//!
//! A full queue makes its senders wait, which is how a busy node slows its peers down: a reader that
//! waits does not read, and the peer's window closes.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::{
    Input, L1Block, L1Position, Message, Peer, ReceiptBody, Rejection, Sequencer,
};
use conclave_types::EncryptedBundle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::network::Lane;

/// Finished jobs and peers that come and go.
const CONTROLS_MAX: usize = 1_024;
/// Urgent messages of all peers.
const URGENT_MAX: usize = 4_096;
/// Bulk messages of all peers.
const BULK_MAX: usize = 256;
/// Bytes of bulk messages that may wait, in KiB: with their decoded form, a sixth of the memory that a
/// validator is meant to take.
const BULK_KIB_MAX: u32 = 24 << 10;
/// Inputs of one kind that one turn takes: what one sync serves.
const TURN_MAX: usize = 256;
/// Submissions and questions that may wait: if all are the largest bundles, a fifth of the memory that a
/// validator is meant to take.
const PUBLIC_MAX: usize = 512;
/// Of these, what one turn takes: votes never wait for long behind strangers.
const PUBLIC_TURN_MAX: usize = 64;

/// A question to the core.
pub(super) type Question = Box<dyn FnOnce(&Sequencer) + Send>;
/// Where the answer to a submission goes.
pub(super) type Reply = oneshot::Sender<Result<ReceiptBody, Rejection>>;

/// What must not wait behind messages.
pub(super) enum Control {
    /// A finished job, or a peer that comes or goes.
    Input(Box<Input>),
    /// A finalized L1 block.
    L1 {
        /// The block.
        block: L1Block,
        /// Where goes how far chain and node have come then.
        reply: oneshot::Sender<L1Position>,
    },
    /// Stop.
    Stop,
}

/// What anyone may ask of the driver.
pub(super) enum Public {
    /// A client's bundle.
    Submit {
        /// The bundle.
        bundle: Box<EncryptedBundle>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// A question.
    Ask(Question),
}

/// A message with the share of the memory bound that it holds while it waits.
pub(super) struct Received {
    pub(super) from: Peer,
    pub(super) message: Message,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Where the network puts what it receives.
#[derive(Clone)]
pub struct Inbox {
    control: mpsc::Sender<Control>,
    public: mpsc::Sender<Public>,
    urgent: mpsc::Sender<Received>,
    bulk: mpsc::Sender<Received>,
    bulk_kib: Arc<Semaphore>,
}

impl Inbox {
    pub(super) fn control(&self) -> mpsc::Sender<Control> {
        self.control.clone()
    }

    pub(super) fn public(&self) -> mpsc::Sender<Public> {
        self.public.clone()
    }

    /// Hands a message of `bytes` to the driver, waiting while it is busy. False if it has stopped.
    pub async fn deliver(&self, lane: Lane, from: Peer, message: Message, bytes: usize) -> bool {
        match lane {
            Lane::Urgent => {
                self.urgent.send(Received { from, message, _permit: None }).await.is_ok()
            }
            Lane::Bulk => {
                let kib = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(BULK_KIB_MAX);
                let permits = Arc::clone(&self.bulk_kib).acquire_many_owned(kib.min(BULK_KIB_MAX));
                let Ok(permit) = permits.await else { return false };
                let received = Received { from, message, _permit: Some(permit) };
                self.bulk.send(received).await.is_ok()
            }
        }
    }

    /// Says that a peer can be reached.
    pub async fn peer_up(&self, peer: Peer) {
        self.tell(Input::PeerUp(peer)).await;
    }

    /// Says that a peer can no longer be reached.
    pub async fn peer_down(&self, peer: Peer) {
        self.tell(Input::PeerDown(peer)).await;
    }

    async fn tell(&self, input: Input) {
        if self.control.send(Control::Input(Box::new(input))).await.is_err() {
            tracing::debug!("the driver has stopped");
        }
    }
}

/// The driver's end of the queues.
pub(super) struct Inputs {
    control: mpsc::Receiver<Control>,
    urgent: mpsc::Receiver<Received>,
    bulk: mpsc::Receiver<Received>,
    public: mpsc::Receiver<Public>,
}

/// What one turn takes.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) controls: Vec<Control>,
    pub(super) messages: Vec<Received>,
    pub(super) publics: Vec<Public>,
}

/// Makes the queues.
pub(super) fn channels() -> (Inputs, Inbox) {
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let (public, publics) = mpsc::channel(PUBLIC_MAX);
    let (urgent, urgents) = mpsc::channel(URGENT_MAX);
    let (bulk, bulks) = mpsc::channel(BULK_MAX);
    let bulk_kib = Arc::new(Semaphore::new(BULK_KIB_MAX as usize));
    let inputs = Inputs { control: controls, urgent: urgents, bulk: bulks, public: publics };
    (inputs, Inbox { control, public, urgent, bulk, bulk_kib })
}

impl Inputs {
    /// Everything that is waiting, up to the bound; waits for at most `wait` for a first input.
    pub(super) async fn next(&mut self, wait: Option<Duration>) -> Turn {
        let mut turn = Turn::default();
        tokio::select! {
            biased;
            Some(control) = self.control.recv() => turn.controls.push(control),
            Some(received) = self.urgent.recv() => turn.messages.push(received),
            Some(received) = self.bulk.recv() => turn.messages.push(received),
            Some(public) = self.public.recv() => turn.publics.push(public),
            () = elapsed(wait) => {}
            else => turn.controls.push(Control::Stop),
        }
        for _ in 0..TURN_MAX {
            let Ok(control) = self.control.try_recv() else { break };
            turn.controls.push(control);
        }
        for queue in [&mut self.urgent, &mut self.bulk] {
            for _ in 0..TURN_MAX {
                let Ok(received) = queue.try_recv() else { break };
                turn.messages.push(received);
            }
        }
        while turn.publics.len() < PUBLIC_TURN_MAX {
            let Ok(public) = self.public.try_recv() else { break };
            turn.publics.push(public);
        }
        turn
    }
}

async fn elapsed(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::{Height, ValidatorIndex};

    use super::*;

    const PEER: Peer = Peer::Validator(ValidatorIndex::new(1));

    fn status() -> Message {
        Message::Status { decided: Height::ZERO, revealed: Height::ZERO }
    }

    #[tokio::test]
    async fn a_turn_takes_controls_before_urgent_before_bulk() {
        let (mut inputs, inbox) = channels();
        assert!(inbox.deliver(Lane::Bulk, PEER, Message::Bundles(Vec::new()), 10).await);
        assert!(inbox.deliver(Lane::Urgent, PEER, status(), 10).await);
        inbox.peer_up(PEER).await;
        let turn = inputs.next(None).await;
        assert_eq!(turn.controls.len(), 1);
        let kinds: Vec<_> = turn.messages.iter().map(|m| m.message.kind()).collect();
        assert_eq!(kinds, ["status", "bundles"]);
    }

    #[tokio::test]
    async fn the_public_is_taken_last_a_little_at_a_time_and_refused_when_it_is_too_many() {
        let (mut inputs, inbox) = channels();
        let public = inbox.public();
        let ask = || Public::Ask(Box::new(|_: &Sequencer| {}));
        for _ in 0..PUBLIC_MAX {
            assert!(public.try_send(ask()).is_ok());
        }
        assert!(
            public.try_send(ask()).is_err(),
            "beyond the bound it is refused, not kept waiting"
        );
        inbox.peer_up(PEER).await;
        assert!(inbox.deliver(Lane::Bulk, PEER, Message::Bundles(Vec::new()), 10).await);
        let turn = inputs.next(None).await;
        assert_eq!((turn.controls.len(), turn.messages.len()), (1, 1), "nothing waits behind it");
        assert_eq!(turn.publics.len(), PUBLIC_TURN_MAX);
        assert_eq!(inputs.next(None).await.publics.len(), PUBLIC_TURN_MAX);
    }

    #[tokio::test]
    async fn a_turn_is_empty_when_only_time_has_passed() {
        let (mut inputs, _inbox) = channels();
        let turn = inputs.next(Some(Duration::ZERO)).await;
        assert!(turn.controls.is_empty() && turn.messages.is_empty());
    }

    #[tokio::test]
    async fn bulk_beyond_the_memory_bound_waits_until_the_driver_has_taken_some() {
        let (mut inputs, inbox) = channels();
        let whole = BULK_KIB_MAX as usize * 1_024;
        assert!(inbox.deliver(Lane::Bulk, PEER, Message::Bundles(Vec::new()), whole).await);
        let mut second = Box::pin(inbox.deliver(Lane::Bulk, PEER, Message::Bundles(Vec::new()), 1));
        assert!(futures::poll!(&mut second).is_pending());
        drop(inputs.next(None).await);
        assert!(second.await);
    }
}
