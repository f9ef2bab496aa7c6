//! Tasks without which a node is none: the transport, the servers. When one ends by itself the node stops and
//! says which; a validator that nobody can reach does not pretend to be one.

use tokio::{sync::mpsc, task::JoinError};

/// Deaths that wait to be noticed. The first one stops the node, so later ones only repeat it.
const DEATHS_MAX: usize = 4;

/// Why an essential task is no more.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It returned although nobody had asked it to.
    #[error("the {0} ended by itself, and the node is of no use without it")]
    Ended(&'static str),
    /// It gave up.
    #[error("the {name} failed, and the node is of no use without it")]
    Failed {
        /// The task.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It broke an assumption of its own.
    #[error("the {name} panicked, and the node is of no use without it")]
    Panicked {
        /// The task.
        name: &'static str,
        /// With what words.
        #[source]
        source: JoinError,
    },
}

/// Where essential tasks are looked after.
#[derive(Clone, Debug)]
pub struct Essentials(mpsc::Sender<TaskError>);

impl Essentials {
    /// The place, and whoever listens for deaths.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<TaskError>) {
        let (deaths, listener) = mpsc::channel(DEATHS_MAX);
        (Self(deaths), listener)
    }

    /// Runs `task` in a task of its own and reports its end, however it comes. At a stop that was asked for
    /// nobody listens any more.
    pub async fn watch<E>(
        self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        let death = match tokio::spawn(task).await {
            Ok(Ok(())) => TaskError::Ended(name),
            Ok(Err(error)) => TaskError::Failed { name, source: Box::new(error) },
            Err(source) => TaskError::Panicked { name, source },
        };
        if let Err(error) = self.0.try_send(death) {
            tracing::trace!(%error, "nobody waits for this end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn death(
        task: impl Future<Output = Result<(), std::io::Error>> + Send + 'static,
    ) -> TaskError {
        let (essentials, mut deaths) = Essentials::new();
        essentials.watch("task", task).await;
        deaths.recv().await.unwrap()
    }

    #[tokio::test]
    async fn every_way_to_end_is_told_by_name() {
        assert!(matches!(death(async { Ok(()) }).await, TaskError::Ended("task")));
        let failed = death(async { Err(std::io::ErrorKind::BrokenPipe.into()) }).await;
        assert!(matches!(&failed, TaskError::Failed { name: "task", .. }), "{failed:?}");
        let panicked = death(async { panic!("an assumption") }).await;
        assert!(matches!(&panicked, TaskError::Panicked { name: "task", .. }), "{panicked:?}");
    }
}
