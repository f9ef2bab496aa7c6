//! gRPC-Web: the same services for pages in a browser, which cannot speak gRPC.
//!
//! The port has no authentication, so a browser is told which pages may read its answers, and a request
//! that says it comes from another page is refused before it reaches a service: a name that is made to
//! point at this machine afterwards (DNS rebinding) would pass for the node's own page otherwise.

use std::{str::FromStr, time::Duration};

use tonic::{
    Request, Status,
    codegen::http::{HeaderName, HeaderValue, Method, Uri, header},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// What browsers may send along: gRPC-Web's own headers.
const REQUEST_HEADERS: [&str; 4] = ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout"];
/// What pages may read of an answer beside its body.
const RESPONSE_HEADERS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
/// How long a browser remembers what it may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);

/// The pages that may call this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WebOrigin {
    /// Any page that this machine serves itself.
    Loopback,
    /// One origin.
    Exact(HeaderValue),
}

/// Why a text names no pages.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no origin")]
pub(crate) struct OriginError(String);

impl FromStr for WebOrigin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "loopback" {
            return Ok(Self::Loopback);
        }
        let wrong = || OriginError(text.chars().take(80).collect());
        let uri: Uri = text.parse().or(Err(wrong()))?;
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        // An origin ends with its port: browsers send neither a slash nor a path.
        if !has_scheme || text.ends_with('/') || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        HeaderValue::from_str(text).map(Self::Exact).or(Err(wrong()))
    }
}

impl WebOrigin {
    fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Loopback => is_loopback(origin),
            Self::Exact(exact) => exact == origin,
        }
    }
}

fn is_loopback(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let host = uri.as_ref().and_then(Uri::host);
    host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host))
}

/// Answers preflights and says who may read.
pub(super) fn cors(origins: &[WebOrigin]) -> CorsLayer {
    let origins = origins.to_vec();
    CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers(REQUEST_HEADERS.map(HeaderName::from_static))
        .expose_headers(RESPONSE_HEADERS.map(HeaderName::from_static))
        .max_age(PREFLIGHT_AGE)
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.iter().any(|allowed| allowed.allows(origin))
        }))
}

/// Refuses requests from other pages. What sends no origin is no browser.
pub(super) fn guard(
    origins: &[WebOrigin],
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let origins = origins.to_vec();
    move |request| {
        let headers = request.metadata().clone().into_headers();
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(request) };
        if origins.iter().any(|allowed| allowed.allows(origin)) {
            return Ok(request);
        }
        Err(Status::permission_denied("grpc.web_origins of this node does not name this page"))
    }
}
