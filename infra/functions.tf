locals {
  environment = {
    FITBRIDGE_TABLE                = aws_dynamodb_table.Table.name
    FITBRIDGE_BUCKET               = aws_s3_bucket.Bucket.id
    FITBRIDGE_QUEUE_URL            = aws_sqs_queue.Jobs.url
    FITBRIDGE_VAULT                = var.vault
    FITBRIDGE_KEYRING_SECRET       = local.UsesKeyring ? "${var.service_name}/keyring" : ""
    FITBRIDGE_SECRET_PREFIX        = var.service_name
    FITBRIDGE_SECRET_RECOVERY_DAYS = var.secret_recovery_days
    FITBRIDGE_SHARDS               = var.shards
    FITBRIDGE_POLL_MINUTES         = var.poll_minutes
    FITBRIDGE_POLL_PLAN            = var.poll_plan
    FITBRIDGE_REQUESTS_PER_SECOND  = var.requests_per_second
    FITBRIDGE_LOG                  = var.log_level
    FITBRIDGE_MAIL_SENDER          = var.mail_sender
    FITBRIDGE_IGPSPORT_URL         = var.igpsport_url
    FITBRIDGE_IGPSPORT_CHINA_URL   = var.igpsport_china_url
    FITBRIDGE_INTERVALS_URL        = var.intervals_url
    FITBRIDGE_TRUSTED_HOSTS        = var.trusted_hosts
    # One file instead of a scan of the whole trust store, at each cold start.
    SSL_CERT_FILE = "/etc/pki/tls/certs/ca-bundle.crt"
  }
}

resource "aws_cloudwatch_log_group" "PollerLog" {
  name              = "/aws/lambda/${var.service_name}-poller"
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_group" "SinkLog" {
  name              = "/aws/lambda/${var.service_name}-sink"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "PollerFunction" {
  function_name    = "${var.service_name}-poller"
  description      = "Each minute - looks for new rides at iGPSport and hands over what is due"
  filename         = var.poller_zip
  source_code_hash = filebase64sha256(var.poller_zip)
  publish          = true
  runtime          = "provided.al2023"
  architectures    = ["arm64"]
  handler          = "bootstrap"
  role             = aws_iam_role.PollerRole.arn
  memory_size      = var.poller_memory
  # Ends before the next tick begins.
  timeout                        = 55
  reserved_concurrent_executions = local.ReservesPollers ? var.poller_reserved_concurrency : -1
  lifecycle {
    precondition {
      # A shard's next tick begins while the last one may still run.
      condition     = !local.ReservesPollers || var.poller_reserved_concurrency >= 2 * var.shards
      error_message = "poller_reserved_concurrency must be 0 or at least twice shards."
    }
  }
  environment {
    variables = local.environment
  }
  logging_config {
    log_format       = "JSON"
    system_log_level = "WARN"
    log_group        = aws_cloudwatch_log_group.PollerLog.name
  }
}

# The scheduler invokes asynchronously, and then Lambda would repeat a failed tick for hours: the next tick catches up.
resource "aws_lambda_function_event_invoke_config" "PollerFunction" {
  function_name                = aws_lambda_function.PollerFunction.function_name
  qualifier                    = aws_lambda_alias.PollerFunction.name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_lambda_function" "SinkFunction" {
  function_name    = "${var.service_name}-sink"
  description      = "Downloads, checks and archives files, and delivers them to sinks"
  filename         = var.sink_zip
  source_code_hash = filebase64sha256(var.sink_zip)
  publish          = true
  runtime          = "provided.al2023"
  architectures    = ["arm64"]
  handler          = "bootstrap"
  role             = aws_iam_role.SinkRole.arn
  memory_size      = var.sink_memory
  timeout          = 120
  environment {
    variables = local.environment
  }
  logging_config {
    log_format       = "JSON"
    system_log_level = "WARN"
    log_group        = aws_cloudwatch_log_group.SinkLog.name
  }
}

resource "aws_lambda_event_source_mapping" "Jobs" {
  event_source_arn = aws_sqs_queue.Jobs.arn
  function_name    = aws_lambda_alias.SinkFunction.arn
  # The kill switch acts here and on the schedules, at once, and not through the environment of a version.
  enabled                 = local.IsStopped ? false : true
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = var.sink_concurrency
  }
  depends_on = [aws_iam_role_policy.SinkRole]
}
