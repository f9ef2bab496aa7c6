//! JSON-RPC's envelope: bytes in, calls out. Pure: whatever a stranger posts is judged here, before anything of
//! the chain is looked at.

use serde_json::{Map, Value};

use super::{INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR};

/// Requests in one batch.
const BATCH_MAX: usize = 100;

/// Why something is no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As JSON-RPC 2.0 numbers it.
    pub code: i32,
    /// In words.
    pub message: String,
}

impl Refusal {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a method is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method, which may not exist.
    pub method: String,
    /// Its parameters.
    pub params: Vec<Value>,
}

/// One request, good or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to answer under; none for a notification, which is not answered.
    pub id: Option<Value>,
    /// What is asked.
    pub call: Result<Call, Refusal>,
}

/// What was posted.
#[derive(Clone, Debug, PartialEq)]
pub enum Posted {
    /// One request.
    One(Request),
    /// A batch of at least one.
    Batch(Vec<Request>),
}

impl Posted {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// If it is no JSON, or a batch that is empty or too long.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let requests = match serde_json::from_slice(body) {
            Ok(Value::Array(requests)) => requests,
            Ok(single) => return Ok(Self::One(request(single))),
            Err(error) => return Err(Refusal::new(PARSE_ERROR, error.to_string())),
        };
        if requests.is_empty() {
            return Err(Refusal::new(INVALID_REQUEST, "empty batch"));
        }
        if requests.len() > BATCH_MAX {
            let message = format!("a batch has at most {BATCH_MAX} requests");
            return Err(Refusal::new(INVALID_REQUEST, message));
        }
        Ok(Self::Batch(requests.into_iter().map(request).collect()))
    }
}

fn request(value: Value) -> Request {
    let refused = |message: &str| Request {
        id: Some(Value::Null),
        call: Err(Refusal::new(INVALID_REQUEST, message)),
    };
    let Value::Object(mut fields) = value else { return refused("not an object") };
    let id = fields.remove("id");
    if id.as_ref().is_some_and(|id| id.is_object() || id.is_array() || id.is_boolean()) {
        return refused("invalid id");
    }
    Request { id, call: call(fields) }
}

fn call(mut fields: Map<String, Value>) -> Result<Call, Refusal> {
    let Some(Value::String(method)) = fields.remove("method") else {
        return Err(Refusal::new(INVALID_REQUEST, "method must be a string"));
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(params)) => params,
        Some(_) => return Err(Refusal::new(INVALID_PARAMS, "params must be an array")),
    };
    Ok(Call { method, params })
}
