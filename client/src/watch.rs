//! Following a bundle. A watch outlives the validator that serves it: when a stream breaks, the next
//! validator is asked, and levels that were told already are not told again.
//!
//! A bundle can be lost before it is ordered: pools are in memory. And the era of its key can end before a block
//! takes it. A watch that a wallet made hands it in again, with those before it in its lane, sealed again if need
//! be, and goes on with that, under another id; any other watch ends when no validator knows the bundle, or one has
//! returned it.

use std::time::Duration;

use conclave_grpc::{messages as v1, v1::submit_service_client::SubmitServiceClient};
use conclave_types::BundleId;
use tonic::{Code, Response};

use crate::{
    BundleStatus, Client, ClientError, Level, Progress, reconnect::Reconnecting, wallet::Keeper,
};

/// How long a bundle may stay without news before its wallet looks whether it is still there.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// How long a validator may take to see what another has seen.
const SOON: Duration = Duration::from_millis(200);

/// Every new level of a bundle, up to the wanted one.
#[derive(Debug)]
pub struct Watch {
    stream: Reconnecting<v1::WatchBundleResponse>,
    id: BundleId,
    until: Level,
    last: Option<Level>,
    /// Validators that did not know the bundle, one after the other.
    unknown: usize,
    keeper: Option<Keeper>,
}

impl Watch {
    pub(crate) fn new(client: Client, id: BundleId, until: Level, keeper: Option<Keeper>) -> Self {
        let stream = Reconnecting::new(client);
        Self { stream, id, until, last: None, unknown: 0, keeper }
    }

    /// The next level; none once the wanted one was told. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`] when no validator knows the bundle, or no longer; [`ClientError::Returned`] when the
    /// era of its key is over and no wallet seals it again;
    /// [`ClientError::Refused`] when it was lost and cannot be admitted again, since it has expired;
    /// [`ClientError::Unavailable`] when no validator serves the bundle's status any more.
    pub async fn next(&mut self) -> Result<Option<BundleStatus>, ClientError> {
        while self.last.is_none_or(|last| last < self.until) {
            let response = match self.hear().await {
                Ok(Some(response)) => response,
                Ok(None) => {
                    self.keep().await?;
                    continue;
                }
                Err(ClientError::Refused(status)) if status.code() == Code::NotFound => {
                    self.ask_elsewhere().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let status =
                response.status.ok_or(ClientError::Inconsistent("a watch answer has a status"))?;
            let status = BundleStatus::try_from(status)?;
            if let Progress::Returned(reason) = &status.progress {
                self.came_back(reason).await?;
                continue;
            }
            if let Some(news) = self.news(status)? {
                return Ok(Some(news));
            }
        }
        Ok(None)
    }

    /// What a validator says; none if it said nothing for a while and a wallet should look.
    async fn hear(&mut self) -> Result<Option<v1::WatchBundleResponse>, ClientError> {
        let request = v1::WatchBundleRequest {
            bundle_id: self.id.as_bytes().to_vec(),
            until: self.until.to_wire() as i32,
        };
        let next = self.stream.next(|channel| {
            let request = request.clone();
            async move {
                let mut service = SubmitServiceClient::new(channel);
                service.watch_bundle(request).await.map(Response::into_inner)
            }
        });
        // What is ordered is lost no more.
        if self.keeper.is_none() || self.last >= Some(Level::Ordered) {
            return next.await.map(Some);
        }
        match tokio::time::timeout(LOOK_AFTER, next).await {
            Ok(heard) => heard.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Has the wallet look after the bundle; returns whether it still can.
    async fn keep(&mut self) -> Result<bool, ClientError> {
        let Some(keeper) = &self.keeper else { return Ok(false) };
        let kept = keeper.look(&self.id).await?;
        self.go_on_with(kept);
        Ok(kept.is_some())
    }

    /// The bundle may have been sealed again: it has another id then.
    fn go_on_with(&mut self, kept: Option<BundleId>) {
        if let Some(id) = kept.filter(|id| *id != self.id) {
            self.id = id;
            self.last = None;
            self.stream = Reconnecting::new(self.stream.client().clone());
        }
    }

    /// A validator says that no block will take the bundle. Its nonce is still its own, so sealing it again is
    /// safe, whether that is true or not.
    async fn came_back(&mut self, reason: &str) -> Result<(), ClientError> {
        let (id, reason) = (self.id, reason.to_owned());
        let returned = ClientError::Returned { id, reason };
        let Some(keeper) = &self.keeper else { return Err(returned) };
        let kept = keeper.look_now(&id).await?.ok_or(returned)?;
        if kept == id {
            // The lane's own validator is a block behind and still has it.
            self.stream.move_on();
            tokio::time::sleep(SOON).await;
        }
        self.go_on_with(Some(kept));
        Ok(())
    }

    /// One validator may have missed a bundle that others have. If none has it, it is lost.
    async fn ask_elsewhere(&mut self) -> Result<(), ClientError> {
        self.stream.move_on();
        self.unknown += 1;
        if self.unknown < self.stream.client().endpoints().count() {
            return Ok(());
        }
        self.unknown = 0;
        if self.keep().await? { Ok(()) } else { Err(ClientError::Unknown { id: self.id }) }
    }

    fn news(&mut self, status: BundleStatus) -> Result<Option<BundleStatus>, ClientError> {
        if status.id != self.id {
            return Err(ClientError::Inconsistent("a watch answers for its own bundle"));
        }
        let level = status.progress.level();
        if level.is_some() {
            self.unknown = 0;
        }
        if level <= self.last {
            return Ok(None);
        }
        self.last = level;
        self.stream.has_news();
        Ok(Some(status))
    }

    /// How far it has come, for an error message.
    fn last_level(&self) -> String {
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

    /// Waits for the wanted level, for at most `patience`.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] tells how far it came; otherwise as [`Watch::next`].
    pub async fn finish_within(&mut self, patience: Duration) -> Result<BundleStatus, ClientError> {
        match tokio::time::timeout(patience, self.finish()).await {
            Ok(status) => status,
            Err(_) => Err(ClientError::TimedOut {
                id: self.id,
                wanted: self.until,
                found: self.last_level(),
            }),
        }
    }
}
