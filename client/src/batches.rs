//! A rollup's batches, from any cursor: at least once from the network, exactly once from here. The
//! stream resumes at its own cursor on another validator, and a gap is an error, never skipped.

use conclave_grpc::{messages as v1, v1::sequence_service_client::SequenceServiceClient};
use conclave_types::{Batch, Height, RollupId};
use tonic::Streaming;

use crate::{Client, ClientError, endpoints::is_retryable};

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
    client: Client,
    rollup: RollupId,
    start: Start,
    stream: Option<Streaming<v1::StreamBatchesResponse>>,
    endpoint: usize,
    failures: u32,
}

impl Batches {
    pub(crate) fn new(client: Client, rollup: RollupId, start: Start) -> Self {
        let endpoint = client.endpoints().preferred();
        Self { client, rollup, start, stream: None, endpoint, failures: 0 }
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
            let Some(stream) = self.stream.as_mut() else {
                self.open().await?;
                continue;
            };
            match stream.message().await {
                Ok(Some(response)) => {
                    if let Some(event) = self.take(response)? {
                        return Ok(event);
                    }
                }
                Ok(None) => self.broken(&tonic::Status::unavailable("the stream ended")).await?,
                Err(status) if is_retryable(&status) => self.broken(&status).await?,
                Err(status) => return Err(ClientError::Refused(Box::new(status))),
            }
        }
    }

    /// Moves the cursor; none for a batch that was told before.
    fn take(
        &mut self,
        response: v1::StreamBatchesResponse,
    ) -> Result<Option<BatchEvent>, ClientError> {
        use v1::stream_batches_response::Event;
        self.failures = 0;
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

    async fn open(&mut self) -> Result<(), ClientError> {
        use v1::stream_batches_request::Start as WireStart;
        let start = match self.start {
            Start::Sequence(sequence) => WireStart::Sequence(sequence),
            Start::AfterHeight(height) => WireStart::AfterHeight(height.as_u64()),
            Start::Latest => WireStart::Latest(true),
        };
        let request =
            v1::StreamBatchesRequest { rollup_id: self.rollup.as_u64(), start: Some(start) };
        let (stream, endpoint) = self
            .client
            .endpoints()
            .call_from(self.endpoint, |channel| async move {
                let mut service = SequenceServiceClient::new(channel)
                    .max_decoding_message_size(crate::MESSAGE_BYTES_MAX);
                service.stream_batches(request).await.map(tonic::Response::into_inner)
            })
            .await?;
        self.endpoint = endpoint;
        self.stream = Some(stream);
        Ok(())
    }

    async fn broken(&mut self, status: &tonic::Status) -> Result<(), ClientError> {
        tracing::debug!(%status, rollup = %self.rollup, "batches broke off, asking the next endpoint");
        self.stream = None;
        self.endpoint = self.endpoint.wrapping_add(1);
        let retry = self.client.endpoints().retry;
        if self.failures >= retry.rounds {
            return Err(ClientError::Unavailable {
                endpoints: self.client.endpoints().count(),
                attempts: self.failures,
                last: Box::new(status.clone()),
            });
        }
        tokio::time::sleep(retry.pause(self.failures)).await;
        self.failures += 1;
        Ok(())
    }
}
