# The service of ../template.yaml, resource by resource under the same names, so that a test can hold the two
# against each other (tests/deploy). Names are written in the template's way for that reason.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  UsesKeyring     = var.vault == "keyring"
  UsesSecrets     = var.vault == "per-user-secret"
  HasKey          = var.kms_key_arn != ""
  HasEmail        = var.alarm_email != "none"
  IsStopped       = var.stopped
  SendsMail       = var.mail_sender != ""
  ReservesPollers = var.poller_reserved_concurrency != 0

  # A shard ticks 5 times in 5 minutes: 5 for each, less 2 for ticks near the ends. One silent shard is below it.
  fewest_ticks_in_five_minutes = { "1" = 3, "2" = 8, "4" = 18, "8" = 38 }
}
