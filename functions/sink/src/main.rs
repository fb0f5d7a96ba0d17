//! The sink: SQS calls it with batches of jobs. It downloads, checks and archives files, and delivers them. It
//! cannot call iGPSport's API, and may read the secrets of sinks only.

use fitbridge_aws::run::{Deadline, Parts};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a function's environment is its settings; it is read here, once")]
async fn main() -> Result<(), Error> {
    let parts = Parts::start("sink", std::env::vars())?;
    let worker = &parts.sink().await?;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let deadline = Deadline::of_sink(event.context.deadline, worker.now());
        worker.handle(&event.payload, deadline).await
    }))
    .await
}
