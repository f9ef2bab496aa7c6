//! Following a bundle. A watch outlives the validator that serves it: when a stream breaks, the next
//! validator is asked, and levels that were told already are not told again.

use conclave_grpc::{messages as v1, v1::submit_service_client::SubmitServiceClient};
use conclave_types::BundleId;
use tonic::Streaming;

use crate::{BundleStatus, Client, ClientError, Level, Progress, endpoints::is_retryable};

/// Every new level of a bundle, up to the wanted one.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    id: BundleId,
    until: Level,
    last: Option<Level>,
    stream: Option<Streaming<v1::WatchBundleResponse>>,
    /// Which endpoint the next stream is asked of.
    endpoint: usize,
    /// Streams that broke since the last news.
    failures: u32,
}

impl Watch {
    pub(crate) fn new(client: Client, id: BundleId, until: Level) -> Self {
        let endpoint = client.endpoints().preferred();
        Self { client, id, until, last: None, stream: None, endpoint, failures: 0 }
    }

    /// The next level; none once the wanted one was told. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unavailable`] when no validator serves the bundle's status any more.
    pub async fn next(&mut self) -> Result<Option<BundleStatus>, ClientError> {
        while self.last.is_none_or(|last| last < self.until) {
            let Some(stream) = self.stream.as_mut() else {
                self.open().await?;
                continue;
            };
            match stream.message().await {
                Ok(Some(response)) => {
                    let status = response
                        .status
                        .ok_or(ClientError::Inconsistent("a watch answer has a status"))?;
                    let status = BundleStatus::try_from(status)?;
                    if let Some(news) = self.news(status)? {
                        return Ok(Some(news));
                    }
                }
                Ok(None) => self.broken(&tonic::Status::unavailable("the stream ended")).await?,
                Err(status) if is_retryable(&status) => self.broken(&status).await?,
                Err(status) => return Err(ClientError::Refused(Box::new(status))),
            }
        }
        Ok(None)
    }

    fn news(&mut self, status: BundleStatus) -> Result<Option<BundleStatus>, ClientError> {
        if status.id != self.id {
            return Err(ClientError::Inconsistent("a watch answers for its own bundle"));
        }
        let level = status.progress.level();
        if level <= self.last {
            return Ok(None);
        }
        self.last = level;
        self.failures = 0;
        Ok(Some(status))
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let request = v1::WatchBundleRequest {
            bundle_id: self.id.as_bytes().to_vec(),
            until: self.until.to_wire() as i32,
        };
        let (stream, endpoint) = self
            .client
            .endpoints()
            .call_from(self.endpoint, |channel| {
                let request = request.clone();
                async move {
                    let mut service = SubmitServiceClient::new(channel);
                    service.watch_bundle(request).await.map(tonic::Response::into_inner)
                }
            })
            .await?;
        self.endpoint = endpoint;
        self.stream = Some(stream);
        Ok(())
    }

    async fn broken(&mut self, status: &tonic::Status) -> Result<(), ClientError> {
        tracing::debug!(%status, id = %self.id, "watch broke off, asking the next endpoint");
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

    /// How far it has come, for an error message.
    pub(crate) fn last_level(&self) -> String {
        self.last.map_or_else(|| "unknown".to_owned(), |level| level.to_string())
    }

    /// Waits for the wanted level.
    ///
    /// # Errors
    ///
    /// As [`Watch::next`].
    pub async fn finish(&mut self) -> Result<BundleStatus, ClientError> {
        let mut latest = BundleStatus { id: self.id, progress: Progress::Unknown };
        while let Some(status) = self.next().await? {
            latest = status;
        }
        Ok(latest)
    }
}
