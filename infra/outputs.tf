# What `fitbridge admin --aws` needs.
output "table_name" {
  description = "The ledger"
  value       = aws_dynamodb_table.Table.name
}

output "bucket_name" {
  description = "The archive"
  value       = aws_s3_bucket.Bucket.id
}

output "queue_url" {
  description = "The queue of jobs"
  value       = aws_sqs_queue.Jobs.url
}

output "dead_letter_queue_url" {
  description = "Jobs that were never finished"
  value       = aws_sqs_queue.JobsDeadLetters.url
}

output "vault_kind" {
  description = "Where secrets lie"
  value       = var.vault
}

output "keyring_secret" {
  description = "What the names of both keyrings start with"
  value       = local.UsesKeyring ? "${var.service_name}/keyring" : null
}

output "secret_prefix" {
  description = "What the names of riders' secrets start with"
  value       = var.service_name
}

output "secret_recovery" {
  description = "Days for which a forgotten secret can be restored"
  value       = var.secret_recovery_days
}

output "shard_count" {
  description = "How many shards the riders are spread over"
  value       = var.shards
}

output "poll_interval" {
  description = "How often a rider's list is looked at most in minutes"
  value       = var.poll_minutes
}

output "poll_plan_kind" {
  description = "Whether riders are looked at as their rides come or all alike"
  value       = var.poll_plan
}

output "notice_sender" {
  description = "The address that riders' notices are mailed from"
  value       = local.SendsMail ? var.mail_sender : null
}

output "poller_name" {
  description = "The poller function"
  value       = aws_lambda_function.PollerFunction.function_name
}

output "sink_name" {
  description = "The sink function"
  value       = aws_lambda_function.SinkFunction.function_name
}

output "alarm_topic" {
  description = "Where alarms are told"
  value       = aws_sns_topic.Alarms.arn
}
