//! The poller: EventBridge Scheduler calls it each minute, once per shard, with `{"shard": n}`. It alone
//! calls iGPSport's API and reads iGPSport's secrets.

use fitbridge_aws::run::{Deadline, Parts};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a function's environment is its settings; it is read here, once")]
async fn main() -> Result<(), Error> {
    let parts = Parts::start("poller", std::env::vars())?;
    let poller = &parts.poller().await?;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let deadline = Deadline::of_poller(event.context.deadline, poller.now());
        poller.handle(&event.payload, deadline).await
    }))
    .await
}
