# References handed from poller to sink. A lost one costs a delay: the ledger hands it over again.
resource "aws_sqs_queue" "Jobs" {
  name = "${var.service_name}-jobs"
  # Six times the sink's timeout.
  visibility_timeout_seconds = 720
  message_retention_seconds  = 86400
  sqs_managed_sse_enabled    = local.HasKey ? null : true
  kms_master_key_id          = local.HasKey ? var.kms_key_arn : null
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.JobsDeadLetters.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue" "JobsDeadLetters" {
  name                      = "${var.service_name}-jobs-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = local.HasKey ? null : true
  kms_master_key_id         = local.HasKey ? var.kms_key_arn : null
}

# Ticks that the scheduler could not hand over. Nobody replays them: the next tick catches up.
resource "aws_sqs_queue" "TickDeadLetters" {
  name                      = "${var.service_name}-tick-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = local.HasKey ? null : true
  kms_master_key_id         = local.HasKey ? var.kms_key_arn : null
}

# Emulators hang on these two.
resource "aws_sqs_queue_redrive_allow_policy" "JobsDeadLetters" {
  count     = var.emulated ? 0 : 1
  queue_url = aws_sqs_queue.JobsDeadLetters.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.Jobs.arn]
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "TickDeadLetters" {
  count                = var.emulated ? 0 : 1
  queue_url            = aws_sqs_queue.TickDeadLetters.id
  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
}
