//! The bucket's calls over the project's own HTTP client: the same trust, which is read once.

use std::time::Duration;

use async_trait::async_trait;
use fitbridge_http::{ApiOptions, BodyError, TransportError, read_bounded, store_client};
use object_store::{
    ClientOptions, Error,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use url::Url;

/// Largest answer, bytes: twice what a ride may have.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Makes the client of a bucket.
#[derive(Debug)]
pub(crate) struct Clients;

impl HttpConnector for Clients {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let options = ApiOptions {
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(30),
            ..ApiOptions::default()
        };
        let client = store_client(&options);
        let client = client.map_err(|error| Error::Generic { store: "S3", source: error.into() })?;
        Ok(HttpClient::new(Bucket(client)))
    }
}

#[derive(Debug)]
struct Bucket(reqwest::Client);

#[async_trait]
impl HttpService for Bucket {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let mut outgoing = reqwest::Request::new(parts.method, url);
        *outgoing.headers_mut() = parts.headers;
        *outgoing.body_mut() = Some(reqwest::Body::wrap(body));
        let answer = self.0.execute(outgoing).await.map_err(|error| broken(error.into()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = read_bounded(answer, MAX_ANSWER).await.map_err(|error| match error {
            BodyError::Transport(error) => broken(error),
            error @ BodyError::TooLarge { .. } => HttpError::new(HttpErrorKind::Decode, error),
        })?;
        let mut response = HttpResponse::new(bytes.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// What broke is tried again, writes too: one that had arrived is found there, with the same bytes.
fn broken(error: TransportError) -> HttpError {
    let kind = match &error {
        TransportError::Connect(_) | TransportError::NotPublic => HttpErrorKind::Connect,
        TransportError::Interrupted(_) => HttpErrorKind::Request,
        TransportError::Timeout => HttpErrorKind::Timeout,
        TransportError::Request(_) => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
