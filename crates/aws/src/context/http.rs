//! The SDKs' calls over the project's own HTTP client.
//!
//! The SDKs would bring a client of their own, with a second copy of connector and trust store: half a megabyte
//! more in a function, and more time until it has started.

use std::time::Duration;

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
        stalled_stream_protection::StalledStreamProtectionConfig,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use fitbridge_http::{ApiOptions, BodyError, BuildError, TransportError, read_bounded, store_client};
use url::Url;

/// Longest time until connected.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest time of a call. The SDKs' own times, which are shorter, decide.
const TOTAL: Duration = Duration::from_secs(30);
/// Idle connections kept for each service: a poller opens as many secrets at a time.
const POOL: usize = 256;
/// Largest answer, bytes. DynamoDB gives 16 MB at most.
const MAX_ANSWER: u64 = 20 * 1024 * 1024;

/// One pool of connections for all SDK clients that are made with it.
#[derive(Debug, Clone)]
pub(crate) struct SdkHttp(reqwest::Client);

impl SdkHttp {
    /// A pool without connections.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let options = ApiOptions { connect_timeout: CONNECT, total_timeout: TOTAL, pool_per_host: POOL };
        Ok(Self(store_client(&options)?))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = outgoing(request)?;
        let answer = self.0.execute(request).await.map_err(|error| failed(error.into()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read_bounded(answer, MAX_ANSWER).await.map_err(|error| match error {
            BodyError::Transport(error) => failed(error),
            error @ BodyError::TooLarge { .. } => ConnectorError::other(error.into(), None),
        })?;
        let status = StatusCode::try_from(status.as_u16()).map_err(|error| ConnectorError::io(error.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &headers {
            let Ok(value) = value.to_str() else { continue };
            response
                .headers_mut()
                .try_append(name.as_str().to_owned(), value.to_owned())
                .map_err(|error| ConnectorError::io(error.into()))?;
        }
        Ok(response)
    }
}

impl HttpConnector for SdkHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for SdkHttp {
    /// The times of a configuration are watched by the SDK itself, but for the one until connected.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Without the SDKs' look at the streams of bodies: [`SdkHttp`] takes and gives bodies whole, so that a service which
/// thinks for five seconds would pass for a stream that stands still. The times of a configuration decide.
pub(crate) fn unwatched() -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::disabled()
}

fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let url = Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body =
        body.bytes().map(<[u8]>::to_vec).ok_or_else(|| ConnectorError::user("a body that is streamed".into()))?;
    let mut outgoing = reqwest::Request::new(parts.method, url);
    *outgoing.headers_mut() = parts.headers;
    *outgoing.body_mut() = Some(body.into());
    Ok(outgoing)
}

/// All but a request that cannot be sent is tried again; what the SDKs send may be repeated.
fn failed(error: TransportError) -> ConnectorError {
    match error {
        TransportError::Timeout => ConnectorError::timeout(error.into()),
        TransportError::Request(_) => ConnectorError::user(error.into()),
        TransportError::Connect(_) | TransportError::NotPublic | TransportError::Interrupted(_) => {
            ConnectorError::io(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_dynamodb::{error::SdkError, types::AttributeValue};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use crate::testkit::moto;

    /// DynamoDB's answer to a read of what is not there.
    const NOTHING: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";

    /// A server that hangs up so often, and then answers with this, once it has thought for so long.
    async fn server(broken: usize, thinks: Duration, answer: &'static str) -> aws_sdk_dynamodb::Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for number in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                assert!(String::from_utf8_lossy(&request[..read]).starts_with("POST / HTTP/1.1"));
                if number >= broken {
                    tokio::time::sleep(thinks).await;
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        aws_sdk_dynamodb::Client::new(&moto::config(&endpoint))
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_tried_again() {
        let client = server(2, Duration::ZERO, NOTHING).await;
        let got = client.get_item().table_name("t").key("p", AttributeValue::S("x".into())).send().await.unwrap();
        assert_eq!(got.item, None);
    }

    #[tokio::test]
    async fn who_thinks_for_long_is_waited_for() {
        let client = server(0, Duration::from_secs(8), NOTHING).await;
        let got = client.get_item().table_name("t").key("p", AttributeValue::S("x".into())).send().await;
        assert_eq!(got.unwrap().item, None);
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused_before_it_is_read() {
        let client = server(0, Duration::ZERO, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").await;
        let got = client.get_item().table_name("t").key("p", AttributeValue::S("x".into())).send().await;
        let Err(SdkError::DispatchFailure(failure)) = got else { panic!("{got:?}") };
        let why = failure.as_connector_error().map(ToString::to_string).unwrap_or_default();
        assert!(failure.is_other(), "{why}");
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_such() {
        let client = aws_sdk_dynamodb::Client::new(&moto::config("http://127.0.0.1:1"));
        let got = client.get_item().table_name("t").key("p", AttributeValue::S("x".into())).send().await;
        let Err(SdkError::DispatchFailure(failure)) = got else { panic!("{got:?}") };
        assert!(failure.is_io());
    }
}
