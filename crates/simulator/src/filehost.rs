//! The object store with the FIT files: no authentication, XML errors, opaque paths.

use std::sync::Arc;

use axum::http::Method;

use crate::fault::Fault;
use crate::reply::{Incoming, Payload, Reply};
use crate::state::State;

/// Prefix of the other path under which every file can be had, for redirects on the same host.
const OTHER: &str = "/moved";

impl State {
    pub(crate) fn file(&self, request: &Incoming) -> Reply {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Reply::oss_error(403);
        }
        let path = request.path.strip_prefix(OTHER).unwrap_or(&request.path);
        match self.files.get(path) {
            Some(file) => {
                let mut reply = Reply::new(200, "application/octet-stream", "");
                reply.payload = Payload::File(Arc::clone(file));
                reply
            }
            None => Reply::oss_error(404),
        }
    }

    /// The location a redirect fault leads to.
    pub(crate) fn redirect_target(&self, to: &str, request: &Incoming) -> String {
        match to {
            "self" => format!("{OTHER}{}", request.path),
            "trap" => format!("{}{}", self.trap_url, request.path),
            // The metadata address of cloud machines: the one a request forger asks for.
            "private" => "http://169.254.169.254/latest/meta-data/".to_owned(),
            "http" => format!("http://files.example.com{}", request.path),
            "https" => format!("https://files.example.com{}", request.path),
            url => url.to_owned(),
        }
    }

    /// The answer of a fault that strikes before the service acts.
    pub(crate) fn spoiled(&self, fault: &Fault, request: &Incoming) -> Option<Reply> {
        match fault {
            Fault::DropBeforeCommit => Some(Reply::empty(503)),
            Fault::Status { code, retry_after } => Some(Reply::error(*code, *retry_after)),
            Fault::TooManyRequests { retry_after } => Some(Reply::error(429, *retry_after)),
            Fault::HtmlErrorPage { code } => Some(Reply::html(*code)),
            Fault::InvalidJson => Some(Reply::new(200, "application/json", "{\"code\":0,\"data\":{")),
            Fault::JsonAnswer => {
                Some(Reply::new(200, "application/json", "{\"code\":500,\"message\":\"simulated\",\"data\":null}"))
            }
            Fault::ZeroBytes => Some(Reply::new(200, "application/octet-stream", "")),
            Fault::OssError { code } => Some(Reply::oss_error(*code)),
            Fault::Redirect { to } => Some(Reply::redirect(302, &self.redirect_target(to, request))),
            Fault::OverCap { .. } => Some(Reply::new(200, "application/octet-stream", "")),
            _ => None,
        }
    }
}
