//! A stream of answers that outlives the validator that serves it: when it breaks, the next one is asked.
//! Where to go on is the caller's to say, in the request that it opens with.

use tonic::{Status, Streaming, transport::Channel};

use crate::{Client, ClientError, endpoints::is_retryable};

/// A stream, and which endpoint it is, or is to be, from.
#[derive(Debug)]
pub(crate) struct Reconnecting<T> {
    client: Client,
    stream: Option<Streaming<T>>,
    endpoint: usize,
    /// Streams that broke since the last news.
    failures: u32,
}

impl<T> Reconnecting<T> {
    /// A stream that is not open yet.
    pub(crate) fn new(client: Client) -> Self {
        let endpoint = client.endpoints().preferred();
        Self { client, stream: None, endpoint, failures: 0 }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// The next answer, from a stream that `open` opens if there is none. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if a validator ends the stream for good; [`ClientError::Unavailable`] when
    /// it broke too often without news.
    pub(crate) async fn next<F, Fut>(&mut self, open: F) -> Result<T, ClientError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Streaming<T>, Status>>,
    {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                let opened = self.client.endpoints().call_from(self.endpoint, &open).await?;
                let (stream, endpoint) = opened;
                self.endpoint = endpoint;
                self.stream = Some(stream);
                continue;
            };
            let broken = match stream.message().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => Status::unavailable("the stream ended"),
                Err(status) if is_retryable(&status) => status,
                Err(status) => return Err(ClientError::Refused(Box::new(status))),
            };
            self.pause(&broken).await?;
        }
    }

    /// Something new was heard: whatever broke before no longer counts.
    pub(crate) const fn has_news(&mut self) {
        self.failures = 0;
    }

    /// Leaves this validator for the next.
    pub(crate) fn move_on(&mut self) {
        self.stream = None;
        self.endpoint = self.endpoint.wrapping_add(1);
    }

    async fn pause(&mut self, status: &Status) -> Result<(), ClientError> {
        tracing::debug!(%status, "a stream broke off, asking the next endpoint");
        self.move_on();
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
