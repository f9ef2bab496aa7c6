//! A node that serves what another one does, but for what it makes of the answers: as near to an honest one as a liar
//! comes.

use std::{any::Any, time::Duration};

use conclave_client::messages as v1;
use conclave_grpc::{
    doors::{Bounds, Doors},
    v1::{
        node_service_client::NodeServiceClient,
        node_service_server::{NodeService, NodeServiceServer},
        sequence_service_client::SequenceServiceClient,
        sequence_service_server::{SequenceService, SequenceServiceServer},
        settlement_service_client::SettlementServiceClient,
        settlement_service_server::{SettlementService, SettlementServiceServer},
    },
};
use tonic::{
    Request, Response, Status,
    codegen::BoxStream,
    transport::{Channel, Server},
};

/// What it makes of any answer.
pub(crate) type Lie = fn(&mut dyn Any);

#[derive(Clone)]
struct Liar {
    honest: Channel,
    lie: Lie,
}

impl Liar {
    fn told<T: 'static>(&self, mut answer: Response<T>) -> Response<T> {
        (self.lie)(answer.get_mut());
        answer
    }
}

/// Implements a service: these calls are handed on, and the rest is as it stands.
macro_rules! handed_on {
    ($service:ident by $client:ident: $($call:ident($request:ident) -> $response:ident),+ ; $($rest:tt)*) => {
        #[tonic::async_trait]
        impl $service for Liar {
            $($rest)*

            $(async fn $call(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                let answer = $client::new(self.honest.clone()).$call(request.into_inner()).await?;
                Ok(self.told(answer))
            })+
        }
    };
}

handed_on! {
    SettlementService by SettlementServiceClient:
        get_commitment(GetCommitmentRequest) -> GetCommitmentResponse,
        get_request_outcome(GetRequestOutcomeRequest) -> GetRequestOutcomeResponse,
        list_withdrawals(ListWithdrawalsRequest) -> ListWithdrawalsResponse,
        get_withdrawal_proof(GetWithdrawalProofRequest) -> GetWithdrawalProofResponse,
        get_certified_commitment(GetCertifiedCommitmentRequest) -> GetCertifiedCommitmentResponse,
        get_transaction_proof(GetTransactionProofRequest) -> GetTransactionProofResponse,
        get_batch_proof(GetBatchProofRequest) -> GetBatchProofResponse,
        get_atomic_proof(GetAtomicProofRequest) -> GetAtomicProofResponse,
        get_absence_proof(GetAbsenceProofRequest) -> GetAbsenceProofResponse;
}

handed_on! {
    SequenceService by SequenceServiceClient:
        get_network_info(GetNetworkInfoRequest) -> GetNetworkInfoResponse,
        get_batches(GetBatchesRequest) -> GetBatchesResponse;

    type StreamBatchesStream = BoxStream<v1::StreamBatchesResponse>;

    async fn stream_batches(
        &self,
        _: Request<v1::StreamBatchesRequest>,
    ) -> Result<Response<Self::StreamBatchesStream>, Status> {
        Err(Status::unavailable("it streams nothing"))
    }
}

handed_on! {
    NodeService by NodeServiceClient:
        get_status(GetStatusRequest) -> GetStatusResponse,
        get_block(GetBlockRequest) -> GetBlockResponse,
        get_bundle(GetBundleRequest) -> GetBundleResponse,
        get_committees(GetCommitteesRequest) -> GetCommitteesResponse;

    type StreamBlocksStream = BoxStream<v1::StreamBlocksResponse>;

    async fn stream_blocks(
        &self,
        _: Request<v1::StreamBlocksRequest>,
    ) -> Result<Response<Self::StreamBlocksStream>, Status> {
        Err(Status::unavailable("it streams nothing"))
    }
}

/// Serves what the node at `honest` does, with a lie in it, until the end of the test; where.
pub(crate) async fn serve(honest: &str, lie: Lie) -> String {
    let honest = Channel::from_shared(honest.to_owned()).expect("a URL").connect_lazy();
    let bounds = Bounds { connections_max: 8, idle_max: Duration::from_secs(60) };
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let doors = Doors::open(anywhere, bounds).await.expect("a free port");
    let address = doors.address().expect("an address");
    let liar = Liar { honest, lie };
    let router = Server::builder()
        .add_service(SettlementServiceServer::new(liar.clone()))
        .add_service(SequenceServiceServer::new(liar.clone()))
        .add_service(NodeServiceServer::new(liar));
    tokio::spawn(router.serve_with_incoming(doors.guests()));
    format!("http://{address}")
}
