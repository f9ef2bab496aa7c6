//! What a node knows about money on its way to L1.

use std::time::Duration;

use anyhow::Context as _;
use conclave_grpc::v1::{
    settlement_service_client::SettlementServiceClient, submit_service_client::SubmitServiceClient,
};
use conclave_node::l1::{Contracts, Endpoints, Patience, withdrawals};
use conclave_types::{
    Height, Payee, PayerAddress,
    proto::v1,
    wire::{HistoryProof, PaidOut, WithdrawalProof},
};
use tonic::{Code, transport::Channel};

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Withdrawals in one answer.
const PAGE: u32 = 100;

/// A node that serves proofs.
#[derive(Clone)]
pub(crate) struct Prover {
    channel: Channel,
    url: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The height that carries it.
    pub(crate) height: Height,
    /// What it pays, if there was anything to be paid.
    pub(crate) paid: Option<PaidOut>,
}

impl Prover {
    /// Connects to a node's public API.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let endpoint = tonic::transport::Endpoint::from_shared(url.clone())
            .context("--node is no URL; write it like http://127.0.0.1:26601")?;
        let channel = endpoint.connect_timeout(ANSWER).timeout(ANSWER).connect().await;
        let channel = channel.with_context(|| format!("cannot connect to node {url}"))?;
        Ok(Self { channel, url })
    }

    /// What a payer can withdraw, in gwei.
    pub(crate) async fn withdrawable(&self, payer: PayerAddress) -> anyhow::Result<u64> {
        let request = v1::GetAccountRequest { address: payer.as_bytes().to_vec(), lane: 0 };
        let mut service = SubmitServiceClient::new(self.channel.clone());
        let answer = service.get_account(request).await.with_context(|| self.refusal())?;
        Ok(answer.into_inner().withdrawable_gwei)
    }

    /// What became of the request at a place of the queue; none while no block carries it.
    pub(crate) async fn outcome(&self, entry: u64) -> anyhow::Result<Option<Outcome>> {
        let request = v1::GetRequestOutcomeRequest { entry };
        let answer = match self.service().get_request_outcome(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status).with_context(|| self.refusal()),
        };
        let paid = answer.withdrawal.as_ref().map(PaidOut::try_from).transpose();
        let paid = paid.with_context(|| self.refusal())?;
        Ok(Some(Outcome { height: Height::new(answer.height), paid }))
    }

    /// What pays somebody, from an index on: a page of it.
    pub(crate) async fn paid_to(&self, payee: Payee, from: u64) -> anyhow::Result<Vec<PaidOut>> {
        let (recipient, validator) = payee.on_l1();
        let recipient = match payee {
            Payee::Account(_) => recipient.as_bytes().to_vec(),
            Payee::Stake(_) | Payee::Pot => Vec::new(),
        };
        let request =
            v1::ListWithdrawalsRequest { recipient, validator, from_index: from, count: PAGE };
        let answer = self.service().list_withdrawals(request).await;
        let answer = answer.with_context(|| self.refusal())?.into_inner();
        let paid = answer.withdrawals.iter().map(PaidOut::try_from).collect::<Result<_, _>>();
        paid.with_context(|| self.refusal())
    }

    /// What shows a withdrawal to L1 when `under` has settled there; none if the node is not that far yet.
    pub(crate) async fn proof(
        &self,
        paid: &PaidOut,
        under: u64,
    ) -> anyhow::Result<Option<WithdrawalProof>> {
        let request = v1::GetWithdrawalProofRequest {
            height: paid.height.as_u64(),
            index: paid.withdrawal.index,
            under,
        };
        match self.service().get_withdrawal_proof(request).await {
            Ok(answer) => {
                let proof = WithdrawalProof::try_from(answer.get_ref());
                proof.map(Some).with_context(|| self.refusal())
            }
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => {
                Ok(None)
            }
            Err(status) => Err(status).with_context(|| self.refusal()),
        }
    }

    /// Waits until a withdrawal has settled; what shows it to L1.
    pub(crate) async fn settled_proof(
        &self,
        endpoints: &Endpoints,
        contracts: &Contracts,
        paid: &PaidOut,
    ) -> anyhow::Result<WithdrawalProof> {
        let height = paid.height.as_u64();
        let missing = format!("height {height} pays it out and has not settled");
        let ask = async |under| self.proof(paid, under).await;
        self.once_settled((endpoints, contracts), height, &missing, ask).await
    }

    /// Waits until a height has settled; its commitment, and where it stands.
    pub(crate) async fn settled_commitment(
        &self,
        endpoints: &Endpoints,
        contracts: &Contracts,
        height: Height,
    ) -> anyhow::Result<HistoryProof> {
        let height = height.as_u64();
        let missing = format!("height {height} has not settled");
        let ask = async |under| self.commitment(height, under).await;
        self.once_settled((endpoints, contracts), height, &missing, ask).await
    }

    /// Waits until a height has settled and this node shows something under a posting that L1 proves by.
    async fn once_settled<T>(
        &self,
        (endpoints, contracts): (&Endpoints, &Contracts),
        height: u64,
        missing: &str,
        ask: impl AsyncFn(u64) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let until = Deadline::of(endpoints.patience());
        loop {
            let under = withdrawals::posting_to_prove_under(endpoints, contracts, height).await?;
            if let Some(under) = under
                && let Some(shown) = ask(under).await?
            {
                return Ok(shown);
            }
            until.wait().await.with_context(|| match under {
                None => missing.to_owned(),
                Some(_) => format!(
                    "height {height} has settled, and node {} cannot show it yet: it lags",
                    self.url
                ),
            })?;
        }
    }

    async fn commitment(&self, height: u64, under: u64) -> anyhow::Result<Option<HistoryProof>> {
        match self.service().get_commitment(v1::GetCommitmentRequest { height, under }).await {
            Ok(answer) => {
                let proof = answer.get_ref().proof.as_ref().with_context(|| self.refusal())?;
                let proof = HistoryProof::try_from(proof).with_context(|| self.refusal())?;
                let told = (proof.commitment.height.as_u64(), proof.under.as_u64());
                (told == (height, under)).then_some(Some(proof)).with_context(|| self.refusal())
            }
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => {
                Ok(None)
            }
            Err(status) => Err(status).with_context(|| self.refusal()),
        }
    }

    fn service(&self) -> SettlementServiceClient<Channel> {
        SettlementServiceClient::new(self.channel.clone())
    }

    fn refusal(&self) -> String {
        format!("node {} does not answer as it should", self.url)
    }
}

/// Until when something is waited for that takes its time.
pub(crate) struct Deadline {
    at: tokio::time::Instant,
    patience: Patience,
}

impl Deadline {
    /// As long as finality may take.
    pub(crate) fn of(patience: Patience) -> Self {
        Self { at: tokio::time::Instant::now() + patience.finality, patience }
    }

    /// Waits a little, unless the time is over.
    pub(crate) async fn wait(&self) -> anyhow::Result<()> {
        if tokio::time::Instant::now() >= self.at {
            let seconds = self.patience.finality.as_secs();
            anyhow::bail!("gave up after {seconds} seconds; raise --timeout, or try again later");
        }
        tokio::time::sleep(self.patience.look_every).await;
        Ok(())
    }
}
