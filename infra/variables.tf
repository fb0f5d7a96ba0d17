# The parameters of template.yaml under the same names, and three that Terraform alone needs.

variable "service_name" {
  description = "What the names of all resources and secrets start with. Two services in one account need two names."
  type        = string
  default     = "fitbridge"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.service_name))
    error_message = "service_name must be 3 to 20 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "alarm_email" {
  description = "Where alarms are mailed (AWS asks that address to confirm), or none."
  type        = string
  validation {
    condition     = can(regex("^(none|[^@ ]+@[^@ ]+[.][^@ ]+)$", var.alarm_email))
    error_message = "alarm_email must be an e-mail address, or none."
  }
}

variable "stopped" {
  description = "The kill switch. While it is true, schedules and queue rest and no provider is asked anything; nothing is lost meanwhile."
  type        = bool
  default     = false
}

variable "vault" {
  description = "per-user-secret is one Secrets Manager secret per connection; keyring is keys in two secrets and ciphertext in the table, for more than a few hundred riders."
  type        = string
  default     = "per-user-secret"
  validation {
    condition     = contains(["per-user-secret", "keyring"], var.vault)
    error_message = "vault must be one of per-user-secret, keyring."
  }
}

variable "secret_recovery_days" {
  description = "For how many days a forgotten secret can be restored, 7 to 30, or 0 for not at all."
  type        = number
  default     = 7
  validation {
    condition     = contains([0, 7, 14, 21, 30], var.secret_recovery_days)
    error_message = "secret_recovery_days must be one of 0, 7, 14, 21, 30."
  }
}

variable "kms_key_arn" {
  description = "Your own KMS key for table, bucket, queues and keyrings. Empty means the keys that AWS owns, at no charge."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+)$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key, or nothing."
  }
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted."
  type        = bool
  default     = true
}

variable "shards" {
  description = "How many ticks a minute share the riders. Riders move between shards when it changes, so change it rarely."
  type        = number
  default     = 1
  validation {
    condition     = contains([1, 2, 4, 8], var.shards)
    error_message = "shards must be one of 1, 2, 4, 8."
  }
}

variable "poll_minutes" {
  description = "No rider's list is looked at oftener than once in so many minutes. What iGPSport tolerates is not known; 5 is modest."
  type        = number
  default     = 5
  validation {
    condition     = contains([1, 5, 60], var.poll_minutes)
    error_message = "poll_minutes must be one of 1, 5, 60."
  }
}

variable "poll_plan" {
  description = "adaptive looks oftener at the hours at which a rider's rides tend to appear, and hourly else; fixed looks at everybody equally often."
  type        = string
  default     = "adaptive"
  validation {
    condition     = contains(["adaptive", "fixed"], var.poll_plan)
    error_message = "poll_plan must be one of adaptive, fixed."
  }
}

variable "requests_per_second" {
  description = "Most requests a second to iGPSport, over all shards. 0 is no limit, which is for simulators only."
  type        = number
  default     = 5
  validation {
    condition     = can(regex("^(0|0[.](0[1-9]|[1-9])[0-9]*|[1-9][0-9]{0,3}([.][0-9]+)?|10000)$", tostring(var.requests_per_second)))
    error_message = "requests_per_second must be 0 (no limit) or a number from 0.01 to 10000."
  }
}

variable "poller_memory" {
  description = "Memory of the poller in MB; CPU comes in proportion."
  type        = number
  default     = 256
  validation {
    condition     = var.poller_memory >= 128 && var.poller_memory <= 3008
    error_message = "poller_memory must be from 128 to 3008."
  }
}

variable "sink_memory" {
  description = "Memory of the sink in MB. A file may have 32 MiB and is held whole."
  type        = number
  default     = 256
  validation {
    condition     = var.sink_memory >= 192 && var.sink_memory <= 3008
    error_message = "sink_memory must be from 192 to 3008."
  }
}

variable "poller_reserved_concurrency" {
  description = "Most pollers at a time, taken from the account's share; at least two per shard. 0 reserves nothing, which new accounts need."
  type        = number
  default     = 0
  validation {
    condition     = contains([0, 2, 4, 8, 16, 32, 64], var.poller_reserved_concurrency)
    error_message = "poller_reserved_concurrency must be one of 0, 2, 4, 8, 16, 32, 64."
  }
}

variable "sink_concurrency" {
  description = "Most sinks at a time. It bounds what file host and sinks see of us. A new account may run ten functions in all; leave it half of them."
  type        = number
  default     = 5
  validation {
    condition     = var.sink_concurrency >= 2 && var.sink_concurrency <= 1000
    error_message = "sink_concurrency must be from 2 to 1000."
  }
}

variable "deployment" {
  description = "How a new version takes over. It goes back by itself when a function fails meanwhile. A canary of 5 minutes may see no tick at all."
  type        = string
  default     = "Linear10PercentEvery1Minute"
  validation {
    condition     = contains(["AllAtOnce", "Canary10Percent5Minutes", "Canary10Percent15Minutes", "Linear10PercentEvery1Minute"], var.deployment)
    error_message = "deployment must be one of AllAtOnce, Canary10Percent5Minutes, Canary10Percent15Minutes, Linear10PercentEvery1Minute."
  }
}

variable "log_level" {
  description = "Which log lines are written."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "log_level must be one of error, warn, info, debug."
  }
}

variable "log_retention_days" {
  description = "For how many days logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be one of 7, 14, 30, 60, 90, 180, 365."
  }
}

variable "old_version_days" {
  description = "For how many days replaced or deleted files of the archive can be restored."
  type        = number
  default     = 30
  validation {
    condition     = var.old_version_days >= 1 && var.old_version_days <= 3650
    error_message = "old_version_days must be from 1 to 3650."
  }
}

variable "lag_alarm_seconds" {
  description = "From the discovery of a ride to its delivery, in seconds, for the slowest twentieth of rides; above it the alarm rings."
  type        = number
  default     = 1800
  validation {
    condition     = var.lag_alarm_seconds >= 60 && var.lag_alarm_seconds <= 86400
    error_message = "lag_alarm_seconds must be from 60 to 86400."
  }
}

variable "reconnect_alarm_count" {
  description = "How many connections may come to need their rider within an hour before the alarm rings."
  type        = number
  default     = 10
  validation {
    condition     = var.reconnect_alarm_count >= 1 && var.reconnect_alarm_count <= 100000
    error_message = "reconnect_alarm_count must be from 1 to 100000."
  }
}

variable "mail_sender" {
  description = "The address that riders' notices are mailed from; SES has to know it. Empty means that notices go by webhook only."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|[^@ ]+@[^@ ]+[.][^@ ]+)$", var.mail_sender))
    error_message = "an e-mail address, or nothing"
  }
}

variable "igpsport_url" {
  description = "Replaces iGPSport's global host. Empty in production."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|https?://[^/ ]+(/[^ ]*)?)$", var.igpsport_url))
    error_message = "igpsport_url must be an http or https URL, or nothing."
  }
}

variable "igpsport_china_url" {
  description = "Replaces iGPSport's host in China. Empty in production."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|https?://[^/ ]+(/[^ ]*)?)$", var.igpsport_china_url))
    error_message = "igpsport_china_url must be an http or https URL, or nothing."
  }
}

variable "intervals_url" {
  description = "Replaces Intervals.icu. Empty in production."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|https?://[^/ ]+(/[^ ]*)?)$", var.intervals_url))
    error_message = "intervals_url must be an http or https URL, or nothing."
  }
}

variable "trusted_hosts" {
  description = "Hosts (host:port, comma-separated) that the URL guard admits although they are not public. Empty in production."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(|[^, /]+:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(,[^, /]+:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))*)$", var.trusted_hosts))
    error_message = "trusted_hosts must be host:port with ports from 1 to 65535, comma-separated, or nothing."
  }
}

variable "poller_zip" {
  description = "The poller's package, as `cargo lambda build --release --arm64 --output-format zip` leaves it."
  type        = string
}

variable "sink_zip" {
  description = "The sink's package."
  type        = string
}

variable "emulated" {
  description = "Leaves out what an emulator of AWS cannot do. Never in production."
  type        = bool
  default     = false
}
