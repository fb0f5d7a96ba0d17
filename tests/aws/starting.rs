//! How functions start, and how they do not.

use crate::runtime::command;

#[tokio::test]
async fn what_is_wrong_with_the_environment_is_said_all_at_once() {
    for function in ["poller", "sink"] {
        let environment = [
            ("FITBRIDGE_BUCKET", "Not A Bucket"),
            ("FITBRIDGE_SHARDS", "none"),
            ("FITBRIDGE_QUEUE", "misspelt"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let output = command(function, &environment).output().await.expect("it starts");
        assert!(!output.status.success());
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let line = said.lines().find(|line| line.contains("cannot start")).expect("a line that says why");
        for name in
            ["FITBRIDGE_TABLE", "FITBRIDGE_BUCKET", "FITBRIDGE_QUEUE_URL", "FITBRIDGE_SHARDS", "FITBRIDGE_QUEUE "]
        {
            assert!(line.contains(name), "{name} in {line}");
        }
    }
}
