# Who may do what: one action list per resource, and no wildcard action.

data "aws_iam_policy_document" "LambdaTrust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "PollerRole" {
  statement {
    sid = "Records"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
    ]
    resources = [aws_dynamodb_table.Table.arn]
  }
  statement {
    sid       = "WhatIsDueAndPlanned"
    actions   = ["dynamodb:Query"]
    resources = ["${aws_dynamodb_table.Table.arn}/index/due", "${aws_dynamodb_table.Table.arn}/index/plan"]
  }
  # A renewed login is sealed in place of the old token.
  dynamic "statement" {
    for_each = local.UsesSecrets ? [1] : []
    content {
      sid       = "SourceSecrets"
      actions   = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
      resources = ["arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${var.service_name}/source/*"]
    }
  }
  dynamic "statement" {
    for_each = local.UsesKeyring ? [1] : []
    content {
      sid       = "SourceKeyring"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [aws_secretsmanager_secret.KeyringSource.arn]
    }
  }
  statement {
    sid       = "HandOver"
    actions   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
    resources = [aws_sqs_queue.Jobs.arn]
  }
  dynamic "statement" {
    for_each = local.HasKey ? [1] : []
    content {
      sid       = "OwnKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.PollerLog.arn}:*"]
  }
}

data "aws_iam_policy_document" "SinkRole" {
  statement {
    sid = "Records"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
    ]
    resources = [aws_dynamodb_table.Table.arn]
  }
  dynamic "statement" {
    for_each = local.UsesSecrets ? [1] : []
    content {
      sid       = "SinkSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = ["arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${var.service_name}/sink/*"]
    }
  }
  dynamic "statement" {
    for_each = local.UsesKeyring ? [1] : []
    content {
      sid       = "SinkKeyring"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [aws_secretsmanager_secret.KeyringSink.arn]
    }
  }
  statement {
    sid       = "Files"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.Bucket.arn}/fit/*"]
  }
  # Without it S3 answers 403 instead of 404, and a missing file could not be told from a missing right.
  statement {
    sid       = "MissingFiles"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.Bucket.arn]
  }
  statement {
    sid = "Jobs"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    resources = [aws_sqs_queue.Jobs.arn]
  }
  dynamic "statement" {
    for_each = local.HasKey ? [1] : []
    content {
      sid       = "OwnKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
  # Only under the sender's own address.
  dynamic "statement" {
    for_each = local.SendsMail ? [1] : []
    content {
      sid       = "Mail"
      actions   = ["ses:SendEmail"]
      resources = ["arn:${local.partition}:ses:${local.region}:${local.account}:identity/*"]
      condition {
        test     = "StringEquals"
        variable = "ses:FromAddress"
        values   = [var.mail_sender]
      }
    }
  }
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.SinkLog.arn}:*"]
  }
}

data "aws_iam_policy_document" "TickTrust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "TickRole" {
  statement {
    sid       = "Poller"
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_alias.PollerFunction.arn]
  }
  statement {
    sid       = "DeadTicks"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.TickDeadLetters.arn]
  }
  dynamic "statement" {
    for_each = local.HasKey ? [1] : []
    content {
      sid       = "OwnKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
}

resource "aws_iam_role" "PollerRole" {
  name               = "${var.service_name}-poller-${local.region}"
  assume_role_policy = data.aws_iam_policy_document.LambdaTrust.json
}

resource "aws_iam_role_policy" "PollerRole" {
  name   = "Poller"
  role   = aws_iam_role.PollerRole.id
  policy = data.aws_iam_policy_document.PollerRole.json
}

resource "aws_iam_role" "SinkRole" {
  name               = "${var.service_name}-sink-${local.region}"
  assume_role_policy = data.aws_iam_policy_document.LambdaTrust.json
}

resource "aws_iam_role_policy" "SinkRole" {
  name   = "Sink"
  role   = aws_iam_role.SinkRole.id
  policy = data.aws_iam_policy_document.SinkRole.json
}

resource "aws_iam_role" "TickRole" {
  name               = "${var.service_name}-tick-${local.region}"
  assume_role_policy = data.aws_iam_policy_document.TickTrust.json
}

resource "aws_iam_role_policy" "TickRole" {
  name   = "Tick"
  role   = aws_iam_role.TickRole.id
  policy = data.aws_iam_policy_document.TickRole.json
}
