resource "aws_sns_topic" "Alarms" {
  name = "${var.service_name}-alarms"
}

resource "aws_sns_topic_subscription" "AlarmMail" {
  count     = local.HasEmail ? 1 : 0
  topic_arn = aws_sns_topic.Alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_dashboard" "Dashboard" {
  dashboard_name = var.service_name
  dashboard_body = templatefile("${path.module}/dashboard.json", {
    service_name = var.service_name
    region       = local.region
    account      = local.account
    partition    = local.partition
  })
}
