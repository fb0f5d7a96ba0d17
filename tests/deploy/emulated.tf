# The module against an emulator; tests/deploy/terraform copies this to target/terraform.
variable "endpoint" {
  type    = string
  default = "http://127.0.0.1:1"
}

variable "vault" {
  type    = string
  default = "per-user-secret"
}

variable "kms_key_arn" {
  type    = string
  default = ""
}

variable "mail_sender" {
  type    = string
  default = ""
}

variable "poller_reserved_concurrency" {
  type    = number
  default = 0
}

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "emulated"
  secret_key                  = "emulated"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  s3_use_path_style           = true
  # What the emulator has not should fail, not be asked for during minutes.
  max_retries = 2
  endpoints {
    cloudwatch     = var.endpoint
    codedeploy     = var.endpoint
    dynamodb       = var.endpoint
    iam            = var.endpoint
    lambda         = var.endpoint
    logs           = var.endpoint
    s3             = var.endpoint
    scheduler      = var.endpoint
    secretsmanager = var.endpoint
    sns            = var.endpoint
    sqs            = var.endpoint
    sts            = var.endpoint
  }
}

module "fitbridge" {
  source                      = "../../infra"
  alarm_email                 = "rider@example.com"
  deletion_protection         = false
  shards                      = 2
  vault                       = var.vault
  kms_key_arn                 = var.kms_key_arn
  mail_sender                 = var.mail_sender
  poller_reserved_concurrency = var.poller_reserved_concurrency
  poller_zip                  = "${path.module}/function.zip"
  sink_zip                    = "${path.module}/function.zip"
  emulated                    = true
}
