//! A rollup's batches, from any cursor: at least once from the network, exactly once from here. The
//! stream resumes at its own cursor on another validator, and a gap is an error, never skipped.

use conclave_grpc::{messages as v1, v1::sequence_service_client::SequenceServiceClient};
use conclave_types::{Batch, Height, RollupId};
use tonic::Response;

use crate::{Client, ClientError, reconnect::Reconnecting};

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the batch with this number.
    Sequence(u64),
    /// With batches above this height.
    AfterHeight(Height),
    /// Only what comes from now on.
    Latest,
}

/// What a stream of batches says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchEvent {
    /// The next batch.
    Batch(Batch),
    /// There is no further batch up to this height.
    Heartbeat(Height),
}

/// A rollup's batches without a gap.
#[derive(Debug)]
pub struct Batches {
    stream: Reconnecting<v1::StreamBatchesResponse>,
    rollup: RollupId,
    start: Start,
}

impl Batches {
    pub(crate) fn new(client: Client, rollup: RollupId, start: Start) -> Self {
        Self { stream: Reconnecting::new(client), rollup, start }
    }

    /// The next batch or heartbeat. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `OUT_OF_RANGE` when the cursor is below what validators keep,
    /// with `NOT_FOUND` when there is no such rollup; [`ClientError::Unavailable`] when nobody
    /// answers; [`ClientError::Inconsistent`] on a gap.
    pub async fn next(&mut self) -> Result<BatchEvent, ClientError> {
        loop {
            let request = self.request();
            let next = self.stream.next(|channel| async move {
                let mut service = SequenceServiceClient::new(channel)
                    .max_decoding_message_size(crate::MESSAGE_BYTES_MAX);
                service.stream_batches(request).await.map(Response::into_inner)
            });
            let response = next.await?;
            self.stream.has_news();
            if let Some(event) = self.take(response)? {
                return Ok(event);
            }
        }
    }

    /// Asks for what comes after everything that was told.
    fn request(&self) -> v1::StreamBatchesRequest {
        use v1::stream_batches_request::Start as WireStart;
        let start = match self.start {
            Start::Sequence(sequence) => WireStart::Sequence(sequence),
            Start::AfterHeight(height) => WireStart::AfterHeight(height.as_u64()),
            Start::Latest => WireStart::Latest(true),
        };
        v1::StreamBatchesRequest { rollup_id: self.rollup.as_u64(), start: Some(start) }
    }

    /// Moves the cursor; none for a batch that was told before.
    fn take(
        &mut self,
        response: v1::StreamBatchesResponse,
    ) -> Result<Option<BatchEvent>, ClientError> {
        use v1::stream_batches_response::Event;
        match response.event {
            Some(Event::Batch(batch)) => {
                let batch = Batch::try_from(batch)?;
                if batch.rollup != self.rollup {
                    return Err(ClientError::Inconsistent("batches are of the wanted rollup"));
                }
                if let Start::Sequence(expected) = self.start {
                    if batch.sequence < expected {
                        return Ok(None);
                    }
                    if batch.sequence > expected {
                        return Err(ClientError::Inconsistent("batches have no gap"));
                    }
                }
                self.start = Start::Sequence(batch.sequence.saturating_add(1));
                Ok(Some(BatchEvent::Batch(batch)))
            }
            Some(Event::Heartbeat(heartbeat)) => {
                let height = Height::new(heartbeat.revealed_height);
                if let Start::Sequence(expected) = self.start {
                    // A heartbeat that is ahead of the cursor promises batches that did not come.
                    if heartbeat.next_sequence > expected {
                        return Err(ClientError::Inconsistent("batches have no gap"));
                    }
                } else {
                    self.start = Start::Sequence(heartbeat.next_sequence);
                }
                Ok(Some(BatchEvent::Heartbeat(height)))
            }
            None => Err(ClientError::Inconsistent("a batch stream says something")),
        }
    }
}
