//! One handle on a network, over any number of its validators.

mod committees;
mod key;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use conclave_grpc::{
    messages as v1,
    v1::{
        node_service_client::NodeServiceClient, sequence_service_client::SequenceServiceClient,
        submit_service_client::SubmitServiceClient,
    },
};
use conclave_types::{
    BundleId, BundleNonce, EncryptedBundle, Gwei, Height, Leg, NetworkId, PayerAddress, RollupId,
    wire,
};
use tonic::{Code, Response, transport::Channel};

use crate::{
    Batches, Block, BlockEvents, BundleStatus, ClientError, Level, Network, Payer, Receipt, Retry,
    Start, Terms, Wallet, Watch, endpoints::Endpoints, sealing,
};

/// No answer is longer: a block of 4 MiB with its openings and framing takes less.
pub(crate) const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// How a [`Client`] connects.
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    pin: Option<NetworkId>,
    retry: Retry,
}

impl ClientBuilder {
    /// Adds a validator, such as `http://127.0.0.1:9000`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Refuses every network but this one. Without a pin, the first validator that answers is trusted
    /// to name the network; with it, nobody is.
    #[must_use]
    pub const fn pin(mut self, network: NetworkId) -> Self {
        self.pin = Some(network);
        self
    }

    /// How often to try again.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Fetches the genesis and checks it.
    ///
    /// # Errors
    ///
    /// Says whether nobody answered, or what is wrong with the answer.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let endpoints = Endpoints::new(&self.endpoints, self.retry)?;
        let info = endpoints.call(network_info).await?;
        let network = Network::from_wire(&info, self.pin)?;
        Ok(Client::of(endpoints, network))
    }
}

#[derive(Debug)]
struct Inner {
    endpoints: Endpoints,
    network: Network,
    /// What a validator last told of key and height, checked, and when.
    terms: Mutex<Option<key::Seen>>,
}

/// A connection to a network. Cheap to clone; clones share their channels.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// A network as a validator describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progression {
    /// Newest decided height.
    pub decided: Height,
    /// Newest revealed height.
    pub revealed: Height,
    /// Lowest height that the validator keeps.
    pub earliest: Height,
}

/// What a bundle would be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeEstimate {
    /// Size of the ciphertext, after padding.
    pub body_bytes: u32,
    /// The charge, without a priority fee.
    pub fee: Gwei,
}

/// A payer's account, seen in one of its lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it can pay with.
    pub balance: Gwei,
    /// The lane's next sequence, decided bundles only.
    pub next_sequence: u64,
    /// The lane's next sequence, with the bundles that wait in the pool.
    pub next_sequence_pending: u64,
}

/// What a submission came to. Both are success: submitting again is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A validator has it and signed for it.
    Received(Receipt),
    /// It was admitted before: it is in the pool, or in a decided block already.
    Known(BundleStatus),
}

impl Client {
    pub(crate) fn of(endpoints: Endpoints, network: Network) -> Self {
        Self { inner: Arc::new(Inner { endpoints, network, terms: Mutex::new(None) }) }
    }

    /// Starts to describe a connection.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Connects to the network of these validators.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::connect`].
    pub async fn connect<S: Into<String>>(
        endpoints: impl IntoIterator<Item = S>,
    ) -> Result<Self, ClientError> {
        let builder = Self::builder();
        endpoints.into_iter().fold(builder, ClientBuilder::endpoint).connect().await
    }

    /// The network, its genesis verified by digest.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.inner.network
    }

    /// A wallet that submits for `payer` and keeps its nonces.
    #[must_use]
    pub fn wallet(&self, payer: Payer) -> Wallet {
        Wallet::new(self.clone(), payer)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.inner.endpoints
    }

    /// How far the validator that answers has come.
    ///
    /// # Errors
    ///
    /// If nobody answers, or somebody answers for another network.
    pub async fn progression(&self) -> Result<Progression, ClientError> {
        let info = self.endpoints().call(network_info).await?;
        self.check_network(&info.network_id)?;
        Ok(Progression {
            decided: Height::new(info.decided_height),
            revealed: Height::new(info.revealed_height),
            earliest: Height::new(info.earliest_height),
        })
    }

    fn check_network(&self, found: &[u8]) -> Result<(), ClientError> {
        let found = wire::id(found, "network_id", NetworkId::from_slice)?;
        let expected = self.network().id();
        if found != expected {
            return Err(ClientError::WrongNetwork { expected, found });
        }
        Ok(())
    }

    /// Seals `legs` and signs for them. Nothing is submitted.
    ///
    /// # Errors
    ///
    /// As [`Client::sealing_terms`] and [`crate::seal`].
    pub async fn seal(
        &self,
        payer: &Payer,
        nonce: BundleNonce,
        legs: &[Leg],
        terms: &Terms,
    ) -> Result<EncryptedBundle, ClientError> {
        let until = self.sealing_terms(terms).await?;
        sealing::seal(self.network(), &until, payer, nonce, legs, terms)
    }

    /// Hands in a sealed bundle, to another validator if one is away or full, and checks the receipt.
    /// Handing in the same bundle again is harmless.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] says why it is not admitted; [`ClientError::Unavailable`] leaves open
    /// whether it was.
    pub async fn submit(&self, bundle: &EncryptedBundle) -> Result<Admission, ClientError> {
        self.submit_to(self.endpoints().preferred(), bundle).await
    }

    /// Like [`Client::submit`], beginning with endpoint `first`.
    pub(crate) async fn submit_to(
        &self,
        first: usize,
        bundle: &EncryptedBundle,
    ) -> Result<Admission, ClientError> {
        let id = bundle.id();
        let encoded = encode(bundle)?;
        let answer = self
            .endpoints()
            .call_from(first, |channel| {
                let request = v1::SubmitBundleRequest { bundle: encoded.clone() };
                async move {
                    let mut service = SubmitServiceClient::new(channel);
                    service.submit_bundle(request).await.map(Response::into_inner)
                }
            })
            .await;
        match answer {
            Ok((response, _)) => {
                let receipt = response
                    .receipt
                    .ok_or(ClientError::Inconsistent("an admitted bundle has a receipt"))?;
                Ok(Admission::Received(self.verified_receipt(&receipt, id).await?))
            }
            Err(ClientError::Refused(status)) if status.code() == Code::AlreadyExists => {
                let known = self.known_at(first, id).await?;
                known.map(Admission::Known).ok_or(ClientError::Refused(status))
            }
            Err(error) => Err(error),
        }
    }

    /// Where a bundle stands.
    ///
    /// # Errors
    ///
    /// If nobody answers, or the answer is malformed.
    pub async fn status(&self, id: BundleId) -> Result<BundleStatus, ClientError> {
        let answer = self.endpoints().call(|channel| bundle_status(channel, id)).await?;
        BundleStatus::of(answer, id)
    }

    /// Where a bundle stands as endpoint `first` sees it; none if it does not know it.
    pub(crate) async fn known_at(
        &self,
        first: usize,
        id: BundleId,
    ) -> Result<Option<BundleStatus>, ClientError> {
        let asked = self.endpoints().call_from(first, |channel| bundle_status(channel, id));
        let (answer, _) = asked.await?;
        let status = BundleStatus::of(answer, id)?;
        Ok(status.progress.level().is_some().then_some(status))
    }

    /// Follows a bundle up to `until`.
    #[must_use]
    pub fn watch(&self, id: BundleId, until: Level) -> Watch {
        Watch::new(self.clone(), id, until, None)
    }

    /// Waits until a bundle has reached `until`, for at most `patience`.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] tells how far it came.
    pub async fn wait(
        &self,
        id: BundleId,
        until: Level,
        patience: Duration,
    ) -> Result<BundleStatus, ClientError> {
        self.watch(id, until).finish_within(patience).await
    }

    /// A rollup's batches.
    #[must_use]
    pub fn batches(&self, rollup: RollupId, start: Start) -> Batches {
        Batches::new(self.clone(), rollup, start)
    }

    /// What a bundle with this many bytes of encoded legs would be charged.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if no bundle is that large.
    pub async fn estimate_fee(&self, plaintext_bytes: u32) -> Result<FeeEstimate, ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::EstimateFeeRequest { plaintext_bytes };
                let mut service = SubmitServiceClient::new(channel);
                service.estimate_fee(request).await.map(Response::into_inner)
            })
            .await?;
        Ok(FeeEstimate { body_bytes: response.body_bytes, fee: Gwei::new(response.fee_gwei) })
    }

    /// A payer's balance and a lane's next sequence.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn account(&self, payer: PayerAddress, lane: u64) -> Result<Account, ClientError> {
        self.account_at(self.endpoints().preferred(), payer, lane).await
    }

    pub(crate) async fn account_at(
        &self,
        first: usize,
        payer: PayerAddress,
        lane: u64,
    ) -> Result<Account, ClientError> {
        let (response, _) = self
            .endpoints()
            .call_from(first, |channel| async move {
                let request = v1::GetAccountRequest { address: payer.as_bytes().to_vec(), lane };
                let mut service = SubmitServiceClient::new(channel);
                service.get_account(request).await.map(Response::into_inner)
            })
            .await?;
        Ok(Account {
            balance: Gwei::new(response.balance_gwei),
            next_sequence: response.next_sequence,
            next_sequence_pending: response.next_sequence_pending,
        })
    }

    /// A bundle as everyone sees it. Its bytes prove themselves: their digest is the id.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` if the validator does not have it.
    pub async fn sealed_bundle(&self, id: BundleId) -> Result<EncryptedBundle, ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetBundleRequest { bundle_id: id.as_bytes().to_vec() };
                let mut service = NodeServiceClient::new(channel);
                service.get_bundle(request).await.map(Response::into_inner)
            })
            .await?;
        match borsh::from_slice::<EncryptedBundle>(&response.bundle) {
            Ok(bundle) if bundle.id() == id => Ok(bundle),
            Ok(_) | Err(_) => {
                Err(ClientError::Inconsistent("the bytes of a bundle hash to its id"))
            }
        }
    }

    /// A decided block, proved by its certificate, with its reveal if there is one yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` if it is not decided here; otherwise what is wrong
    /// with the proof.
    pub async fn block(&self, height: Height) -> Result<Block, ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetBlockRequest { height: height.as_u64() };
                let mut service =
                    NodeServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
                service.get_block(request).await.map(Response::into_inner)
            })
            .await?;
        let block = self.followed(|network| Block::verified(network, &response)).await?;
        if block.decided.header.height != height {
            return Err(ClientError::Inconsistent("a block is of the height asked for"));
        }
        Ok(block)
    }

    /// Every decided and every revealed block from now on.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn block_events(&self) -> Result<BlockEvents, ClientError> {
        let stream = self
            .endpoints()
            .call(|channel| async move {
                let mut service =
                    NodeServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
                service.stream_blocks(v1::StreamBlocksRequest {}).await.map(Response::into_inner)
            })
            .await?;
        Ok(BlockEvents::new(stream))
    }

    /// What the node says about itself: height, pool, peers.
    ///
    /// # Errors
    ///
    /// If nobody answers, or somebody answers for another network.
    pub async fn node_status(&self) -> Result<v1::GetStatusResponse, ClientError> {
        let status = self
            .endpoints()
            .call(|channel| async move {
                let mut service = NodeServiceClient::new(channel);
                service.get_status(v1::GetStatusRequest {}).await.map(Response::into_inner)
            })
            .await?;
        self.check_network(&status.network_id)?;
        Ok(status)
    }
}

/// A bundle's canonical bytes.
fn encode(bundle: &EncryptedBundle) -> Result<Vec<u8>, ClientError> {
    // Encoding into memory fails only for a length above 32 bits, which no bucket has.
    borsh::to_vec(bundle).or(Err(ClientError::Inconsistent("a bundle is shorter than 4 GiB")))
}

async fn bundle_status(
    channel: Channel,
    id: BundleId,
) -> Result<v1::GetBundleStatusResponse, tonic::Status> {
    let request = v1::GetBundleStatusRequest { bundle_id: id.as_bytes().to_vec() };
    let mut service = SubmitServiceClient::new(channel);
    service.get_bundle_status(request).await.map(Response::into_inner)
}

async fn network_info(channel: Channel) -> Result<v1::GetNetworkInfoResponse, tonic::Status> {
    let mut service =
        SequenceServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    service.get_network_info(v1::GetNetworkInfoRequest {}).await.map(Response::into_inner)
}
