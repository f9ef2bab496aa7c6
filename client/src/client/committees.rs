//! Following the committees that L1 elects, from the genesis's to the one that is needed.

use conclave_grpc::{messages as v1, v1::node_service_client::NodeServiceClient};
use conclave_types::{BundleId, Epoch};
use tonic::Response;

use crate::{Client, ClientError, Network, Receipt};

impl Client {
    /// Learns who is in the committees up to that of `epoch`. Each is checked against the one before, beginning with
    /// the genesis's; what is known is not asked for again. A committee is known a moment after its epoch begins, so
    /// the call is tried again as the [`Retry`](crate::Retry) allows.
    ///
    /// # Errors
    ///
    /// [`ClientError::Election`] if a validator makes one up; [`ClientError::Unavailable`] if there is no such epoch
    /// yet.
    pub async fn follow_committees(&self, epoch: Epoch) -> Result<(), ClientError> {
        while let Some(next) = self.network().next_election().filter(|next| *next <= epoch) {
            self.elect_from(next).await?;
        }
        Ok(())
    }

    /// Asks for the committees from the first one that is not known.
    async fn elect_from(&self, next: Epoch) -> Result<(), ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let mut service = NodeServiceClient::new(channel);
                let request = v1::GetCommitteesRequest { from_epoch: next.as_u64() };
                service.get_committees(request).await.map(Response::into_inner)
            })
            .await?;
        response.committees.iter().try_for_each(|elected| self.network().elect(elected))?;
        if self.network().committee_of(next).is_none() {
            return Err(ClientError::Inconsistent("an answer has the committee asked for"));
        }
        Ok(())
    }

    /// Checks something that may be of a committee that is not known yet.
    pub(crate) async fn followed<T>(
        &self,
        check: impl Fn(&Network) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        match check(self.network()) {
            Err(ClientError::UnknownCommittee { epoch }) => {
                self.follow_committees(epoch).await?;
                check(self.network())
            }
            checked => checked,
        }
    }

    /// Checks a receipt, which does not say of which epoch it is: if nobody known has signed it, somebody may have
    /// joined, or changed its key.
    pub(crate) async fn verified_receipt(
        &self,
        receipt: &v1::Receipt,
        id: BundleId,
    ) -> Result<Receipt, ClientError> {
        let checked = self.network().verify_receipt(receipt, id);
        let known = self.network().next_election();
        if known.is_none() || !matches!(checked, Err(ClientError::BadReceipt { .. })) {
            return checked;
        }
        if let Err(error) = self.follow_to_present().await {
            // Whatever came of it, the receipt is what was asked for: what is wrong with that is told.
            tracing::debug!(%error, "cannot learn who is in the newest committees");
        }
        if self.network().next_election() == known {
            return checked;
        }
        self.network().verify_receipt(receipt, id)
    }

    async fn follow_to_present(&self) -> Result<(), ClientError> {
        let status = self.node_status().await?;
        self.follow_committees(Epoch::new(status.epoch)).await
    }
}
