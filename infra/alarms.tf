# What rings, and when. infra/RUNBOOK.md has a paragraph for each.

resource "aws_cloudwatch_metric_alarm" "JobsDeadLettered" {
  alarm_name        = "${var.service_name}-JobsDeadLettered"
  alarm_description = "A message was received five times and never finished."
  namespace         = "AWS/SQS"
  metric_name       = "ApproximateNumberOfMessagesVisible"
  dimensions = {
    QueueName = aws_sqs_queue.JobsDeadLetters.name
  }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "TicksDeadLettered" {
  alarm_name        = "${var.service_name}-TicksDeadLettered"
  alarm_description = "The scheduler could not hand a tick to the poller."
  namespace         = "AWS/SQS"
  metric_name       = "ApproximateNumberOfMessagesVisible"
  dimensions = {
    QueueName = aws_sqs_queue.TickDeadLetters.name
  }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "RidesDeadLettered" {
  alarm_name        = "${var.service_name}-RidesDeadLettered"
  alarm_description = "A ride or delivery was given up after all its attempts."
  metric_query {
    id          = "watched"
    label       = "rides and deliveries given up"
    expression  = "FILL(poller, 0) + FILL(sink, 0)"
    return_data = true
  }
  metric_query {
    id = "poller"
    metric {
      namespace   = "FitBridge"
      metric_name = "DeadLetters"
      dimensions = {
        Function = "${var.service_name}-poller"
      }
      period = 300
      stat   = "Sum"
    }
  }
  metric_query {
    id = "sink"
    metric {
      namespace   = "FitBridge"
      metric_name = "DeadLetters"
      dimensions = {
        Function = "${var.service_name}-sink"
      }
      period = 300
      stat   = "Sum"
    }
  }
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "JobsTooOld" {
  alarm_name        = "${var.service_name}-JobsTooOld"
  alarm_description = "The sink does not keep up with its queue, or does not run."
  namespace         = "AWS/SQS"
  metric_name       = "ApproximateAgeOfOldestMessage"
  dimensions = {
    QueueName = aws_sqs_queue.Jobs.name
  }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 600
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "LagTooLong" {
  alarm_name        = "${var.service_name}-LagTooLong"
  alarm_description = "Rides reach their sinks too long after they were discovered."
  namespace         = "FitBridge"
  metric_name       = "DiscoveredToDeliveredSeconds"
  dimensions = {
    Function = "${var.service_name}-sink"
  }
  extended_statistic = "p95"
  # A small service delivers once in hours: a shorter time would never see two in a row.
  period              = 3600
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = var.lag_alarm_seconds
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "PollsBehind" {
  alarm_name        = "${var.service_name}-PollsBehind"
  alarm_description = "More polls are planned than the allowed rate has room for: riders are looked at late."
  namespace         = "FitBridge"
  metric_name       = "MinutesBehind"
  dimensions = {
    Function = "${var.service_name}-poller"
  }
  statistic = "Maximum"
  period    = 300
  # A stop of the service is made up for within that time.
  evaluation_periods  = 6
  threshold           = 10
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "NothingDelivered" {
  alarm_name        = "${var.service_name}-NothingDelivered"
  alarm_description = "Rides are tried again and again, and for hours not one reached its sink."
  metric_query {
    id          = "watched"
    label       = "tries that failed while nothing was delivered"
    expression  = "IF(FILL(delivered, 0) > 0, 0, FILL(deliveries, 0) + FILL(files, 0))"
    return_data = true
  }
  metric_query {
    id = "delivered"
    metric {
      namespace   = "FitBridge"
      metric_name = "Delivered"
      dimensions = {
        Function = "${var.service_name}-sink"
      }
      period = 3600
      stat   = "Sum"
    }
  }
  metric_query {
    id = "deliveries"
    metric {
      namespace   = "FitBridge"
      metric_name = "DeliveryRetries"
      dimensions = {
        Function = "${var.service_name}-sink"
      }
      period = 3600
      stat   = "Sum"
    }
  }
  metric_query {
    id = "files"
    metric {
      namespace   = "FitBridge"
      metric_name = "ActivityRetries"
      dimensions = {
        Function = "${var.service_name}-sink"
      }
      period = 3600
      stat   = "Sum"
    }
  }
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "PollsFailing" {
  alarm_name        = "${var.service_name}-PollsFailing"
  alarm_description = "More than half of the polls fail."
  metric_query {
    id          = "watched"
    label       = "failed polls, percent"
    expression  = "100 * FILL(failed, 0) / (FILL(failed, 0) + FILL(succeeded, 0) + 0.001)"
    return_data = true
  }
  metric_query {
    id = "failed"
    metric {
      namespace   = "FitBridge"
      metric_name = "PollFailed"
      dimensions = {
        Function = "${var.service_name}-poller"
      }
      period = 1800
      stat   = "Sum"
    }
  }
  metric_query {
    id = "succeeded"
    metric {
      namespace   = "FitBridge"
      metric_name = "PollSucceeded"
      dimensions = {
        Function = "${var.service_name}-poller"
      }
      period = 1800
      stat   = "Sum"
    }
  }
  # Two of three half hours: a rider who is looked at hourly is in every second one.
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = 50
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "ReconnectsNeeded" {
  alarm_name        = "${var.service_name}-ReconnectsNeeded"
  alarm_description = "Many connections came to need their rider within an hour: an outage, or a fault of ours."
  metric_query {
    id          = "watched"
    label       = "connections that came to need their rider"
    expression  = "FILL(poller, 0) + FILL(sink, 0)"
    return_data = true
  }
  metric_query {
    id = "poller"
    metric {
      namespace   = "FitBridge"
      metric_name = "ReauthRequired"
      dimensions = {
        Function = "${var.service_name}-poller"
      }
      period = 3600
      stat   = "Sum"
    }
  }
  metric_query {
    id = "sink"
    metric {
      namespace   = "FitBridge"
      metric_name = "ReauthRequired"
      dimensions = {
        Function = "${var.service_name}-sink"
      }
      period = 3600
      stat   = "Sum"
    }
  }
  evaluation_periods  = 1
  threshold           = var.reconnect_alarm_count
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "SourceThrottles" {
  alarm_name        = "${var.service_name}-SourceThrottles"
  alarm_description = "iGPSport keeps asking for fewer requests."
  namespace         = "FitBridge"
  metric_name       = "ProviderThrottled"
  dimensions = {
    Function = "${var.service_name}-poller"
  }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "PollerThrottled" {
  alarm_name        = "${var.service_name}-PollerThrottled"
  alarm_description = "Lambda had no room for the poller."
  namespace         = "AWS/Lambda"
  metric_name       = "Throttles"
  dimensions = {
    FunctionName = "${var.service_name}-poller"
  }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "SinkThrottled" {
  alarm_name        = "${var.service_name}-SinkThrottled"
  alarm_description = "Lambda had no room for the sink."
  namespace         = "AWS/Lambda"
  metric_name       = "Throttles"
  dimensions = {
    FunctionName = "${var.service_name}-sink"
  }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "TableThrottled" {
  alarm_name        = "${var.service_name}-TableThrottled"
  alarm_description = "DynamoDB throttles the ledger."
  metric_query {
    id          = "watched"
    label       = "throttled requests"
    expression  = "FILL(reads, 0) + FILL(writes, 0) + FILL(due, 0) + FILL(plan, 0)"
    return_data = true
  }
  metric_query {
    id = "reads"
    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "ReadThrottleEvents"
      dimensions = {
        TableName = "${var.service_name}-ledger"
      }
      period = 300
      stat   = "Sum"
    }
  }
  metric_query {
    id = "writes"
    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions = {
        TableName = "${var.service_name}-ledger"
      }
      period = 300
      stat   = "Sum"
    }
  }
  metric_query {
    id = "due"
    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions = {
        TableName                = "${var.service_name}-ledger"
        GlobalSecondaryIndexName = "due"
      }
      period = 300
      stat   = "Sum"
    }
  }
  metric_query {
    id = "plan"
    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions = {
        TableName                = "${var.service_name}-ledger"
        GlobalSecondaryIndexName = "plan"
      }
      period = 300
      stat   = "Sum"
    }
  }
  evaluation_periods  = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "PollerErrors" {
  alarm_name        = "${var.service_name}-PollerErrors"
  alarm_description = "A tick crashed or ran out of time."
  namespace         = "AWS/Lambda"
  metric_name       = "Errors"
  dimensions = {
    FunctionName = "${var.service_name}-poller"
    Resource     = "${var.service_name}-poller:live"
  }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "SinkErrors" {
  alarm_name        = "${var.service_name}-SinkErrors"
  alarm_description = "A batch of the sink crashed or ran out of time."
  namespace         = "AWS/Lambda"
  metric_name       = "Errors"
  dimensions = {
    FunctionName = "${var.service_name}-sink"
    Resource     = "${var.service_name}-sink:live"
  }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "PollerVersionErrors" {
  alarm_name        = "${var.service_name}-PollerVersionErrors"
  alarm_description = "The version of the poller that takes over crashed or ran out of time: it is taken back."
  namespace         = "AWS/Lambda"
  metric_name       = "Errors"
  dimensions = {
    FunctionName    = "${var.service_name}-poller"
    Resource        = "${var.service_name}-poller:live"
    ExecutedVersion = aws_lambda_function.PollerFunction.version
  }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "SinkVersionErrors" {
  alarm_name        = "${var.service_name}-SinkVersionErrors"
  alarm_description = "The version of the sink that takes over crashed or ran out of time: it is taken back."
  namespace         = "AWS/Lambda"
  metric_name       = "Errors"
  dimensions = {
    FunctionName    = "${var.service_name}-sink"
    Resource        = "${var.service_name}-sink:live"
    ExecutedVersion = aws_lambda_function.SinkFunction.version
  }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "Heartbeat" {
  alarm_name        = "${var.service_name}-Heartbeat"
  actions_enabled   = local.IsStopped ? false : true
  alarm_description = "Ticks are missing: nothing is polled, at least in one shard."
  namespace         = "FitBridge"
  metric_name       = "TicksDone"
  dimensions = {
    Function = "${var.service_name}-poller"
  }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  threshold           = local.fewest_ticks_in_five_minutes[var.shards]
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.Alarms.arn]
  ok_actions          = [aws_sns_topic.Alarms.arn]
}
