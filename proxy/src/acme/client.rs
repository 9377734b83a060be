//! How the authority is asked: through the egress guard.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::egress::Egress;
use crate::shared::Shared;

/// The largest answer that is read: a chain of a hundred names is some ten kilobytes.
pub(crate) const BYTES_MAX: usize = 256 * 1024;
/// How long one answer may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Asks by the rules of one configuration, and counts.
pub(super) struct Guarded {
    pub(super) shared: Arc<Shared>,
    pub(super) egress: Arc<Egress>,
}

impl HttpClient for Guarded {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (shared, egress) = (Arc::clone(&self.shared), Arc::clone(&self.egress));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(head, Full::new(body.to_bytes()));
            let answer = egress.ask(request, BYTES_MAX, TIME_MAX).await;
            shared.metrics.egress("acme", answer.as_ref().err());
            let answer = answer.map_err(|error| Error::Other(Box::new(error)))?;
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}
