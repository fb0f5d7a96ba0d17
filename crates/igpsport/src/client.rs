//! The client: how a call is made. The calls themselves are in the modules beside this one.

use std::sync::Arc;

use fitbridge_http::{ApiClients, ApiOptions, BodyError, BuildError, TransportError, api_clients, read_bounded};
use reqwest::Method;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER,
};
use secrecy::ExposeSecret;
use tracing::instrument;

use crate::envelope::Answer;
use crate::error::ApiError;
use crate::region::{Endpoints, Region};
use crate::signer::{NoSigner, Signer, Unsigned};
use crate::token::Token;

/// Most bytes of an answer of the API, decompressed. A page of 20 rows has about 10 KB.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// A client of one region's API. It holds no token: each call is given one, so that one client (and
/// its connections) serves any number of riders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: ApiClients,
    endpoints: Endpoints,
    signer: Arc<dyn Signer>,
}

/// A call: everything but who makes it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// In the order in which it is sent; signatures cover it.
    pub(crate) query: Option<&'a str>,
    pub(crate) token: Option<&'a Token>,
    /// Value of the header `timezone`. What it changes is unknown, so it is always the same.
    pub(crate) timezone: &'a str,
    /// A JSON text.
    pub(crate) body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: None, token: None, timezone: "UTC", body: None }
    }

    pub(crate) fn with_token(self, token: &'a Token) -> Self {
        Self { token: Some(token), ..self }
    }

    pub(crate) fn with_query(self, query: &'a str) -> Self {
        Self { query: Some(query), ..self }
    }
}

impl Client {
    /// A client with our usual limits.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(endpoints: Endpoints) -> Result<Self, BuildError> {
        Ok(Self::over(api_clients(&ApiOptions::default())?, endpoints))
    }

    /// A client over connections that exist. They must not follow redirects
    /// ([`fitbridge_http::api_clients`] makes such), else a token could leave the API host.
    #[must_use]
    pub fn over(http: ApiClients, endpoints: Endpoints) -> Self {
        Self { http, endpoints, signer: Arc::new(NoSigner) }
    }

    /// The same client with signed requests.
    #[must_use]
    pub fn with_signer(self, signer: Arc<dyn Signer>) -> Self {
        Self { signer, ..self }
    }

    /// The region this client asks.
    #[must_use]
    pub fn region(&self) -> Region {
        self.endpoints.region()
    }

    /// Makes a call and reads the whole answer, whatever its status.
    #[instrument(level = "debug", skip_all, fields(igpsport.region = %self.region(), http.path = call.path))]
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        let url = self.endpoints.url(call.path, call.query);
        let body = call.body.unwrap_or_default();
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let signature = self
            .signer
            .headers(Unsigned { method: call.method.as_str(), path_and_query: &path_and_query, body: &body })
            .await
            .map_err(|error| ApiError::Request(error.to_string()))?;
        let mut headers = self.headers(call.timezone)?;
        if let Some(token) = call.token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        if call.method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(signature);
        let mut request = reqwest::Request::new(call.method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = (!body.is_empty()).then(|| body.into());
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_bounded(response, MAX_ANSWER_BYTES).await.map_err(|error| match error {
            BodyError::TooLarge { limit } => ApiError::malformed(format!("it is larger than {limit} bytes")),
            BodyError::Transport(error) => error.into(),
        })?;
        Ok(Answer { status, headers, body })
    }

    /// Sends a request. One that only reads is sent once more, on a new connection, where the connection broke before
    /// the answer came: a kept one may have been closed by the other side while this program was frozen. What changes
    /// something, a login, is sent on a new connection to begin with: nobody could say what became of it.
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        let again = (request.method() == Method::GET).then(|| request.try_clone()).flatten();
        let first = if again.is_some() { &self.http.kept } else { &self.http.fresh };
        match (first.execute(request).await.map_err(TransportError::from), again) {
            (Err(TransportError::Interrupted(why)), Some(again)) => {
                tracing::debug!("the connection broke before an answer came ({why}): it is asked once more");
                Ok(self.http.fresh.execute(again).await?)
            }
            (answer, _) => answer,
        }
    }

    /// The headers that every call has, as the region's web app sends them, with an honest name.
    fn headers(&self, timezone: &str) -> Result<HeaderMap, ApiError> {
        let text = |text: &str| HeaderValue::from_str(text).map_err(|error| ApiError::Request(error.to_string()));
        let origin = self.endpoints.origin();
        Ok(HeaderMap::from_iter([
            (ACCEPT, text("application/json, text/plain, */*")?),
            (ACCEPT_LANGUAGE, text("en")?),
            (ORIGIN, text(origin)?),
            (REFERER, text(&format!("{origin}/"))?),
            (HeaderName::from_static("qiwu-app-version"), text(self.endpoints.app_version())?),
            (HeaderName::from_static("timezone"), text(timezone)?),
        ]))
    }
}

fn bearer(token: &Token) -> Result<HeaderValue, ApiError> {
    let text = format!("Bearer {}", token.secret().expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|error| ApiError::Request(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
