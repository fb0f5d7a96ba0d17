//! DynamoDB in this process.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};

use crate::{
    context::{SdkHttp, unwatched},
    ledger::{DynamoLedger, Patience, create_table},
};

/// Settings of a client for an endpoint.
pub(super) fn config(endpoint: &str) -> aws_sdk_dynamodb::config::Builder {
    Config::builder()
        .http_client(SdkHttp::new().expect("a client"))
        .stalled_stream_protection(unwatched())
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
}

/// An emulator with nothing in it. It ends with the test's runtime.
#[derive(Debug)]
pub(super) struct Emulator {
    endpoint: String,
    tables: AtomicU32,
}

impl Emulator {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let database = dynoxide::Database::memory().expect("an empty database");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { endpoint: format!("http://{address}"), tables: AtomicU32::new(0) }
    }

    /// A ledger over one of its tables, with more patience than there is on AWS: the emulator shares a core with
    /// whatever else is tested, and a try that is given up and repeated would be counted.
    pub(super) fn ledger(&self, table: impl Into<String>, buckets: u16) -> DynamoLedger {
        let patience =
            Patience { each: Duration::from_secs(60), total: Duration::from_secs(300), ..Patience::default() };
        DynamoLedger::new(&self.client(), table, buckets).with_patience(patience)
    }

    pub(super) fn config(&self) -> aws_sdk_dynamodb::config::Builder {
        config(&self.endpoint)
    }

    pub(super) fn client(&self) -> Client {
        Client::from_conf(self.config().build())
    }

    /// A table of its own.
    pub(super) async fn table(&self) -> String {
        let table = format!("ledger-{}", self.tables.fetch_add(1, Ordering::Relaxed));
        create_table(&self.client(), &table).await.expect("the table is made");
        table
    }
}
