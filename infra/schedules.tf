# One tick a minute and shard. A late one is dropped, since the next one covers its minutes.
resource "aws_scheduler_schedule" "Tick" {
  count               = var.shards
  name                = "${var.service_name}-tick-${count.index}"
  schedule_expression = "rate(1 minute)"
  state               = local.IsStopped ? "DISABLED" : "ENABLED"
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_alias.PollerFunction.arn
    role_arn = aws_iam_role.TickRole.arn
    input    = "{\"shard\":${count.index},\"scheduled\":\"<aws.scheduler.scheduled-time>\"}"
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
    dead_letter_config {
      arn = aws_sqs_queue.TickDeadLetters.arn
    }
  }
}
