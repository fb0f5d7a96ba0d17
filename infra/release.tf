# How a new version takes over. SAM makes these resources by itself from `DeploymentPreference`.
# Terraform publishes a version; the alias is then moved by CodeDeploy, which docs/DEPLOY.md shows.

resource "aws_lambda_alias" "PollerFunction" {
  name             = "live"
  function_name    = aws_lambda_function.PollerFunction.function_name
  function_version = aws_lambda_function.PollerFunction.version
  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

resource "aws_lambda_alias" "SinkFunction" {
  name             = "live"
  function_name    = aws_lambda_function.SinkFunction.function_name
  function_version = aws_lambda_function.SinkFunction.version
  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

data "aws_iam_policy_document" "CodeDeployTrust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["codedeploy.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "CodeDeployRole" {
  name               = "${var.service_name}-release-${local.region}"
  assume_role_policy = data.aws_iam_policy_document.CodeDeployTrust.json
}

resource "aws_iam_role_policy_attachment" "CodeDeployRole" {
  role       = aws_iam_role.CodeDeployRole.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"
}

resource "aws_codedeploy_app" "Release" {
  name             = var.service_name
  compute_platform = "Lambda"
}

resource "aws_codedeploy_deployment_group" "PollerFunction" {
  app_name               = aws_codedeploy_app.Release.name
  deployment_group_name  = aws_lambda_function.PollerFunction.function_name
  deployment_config_name = "CodeDeployDefault.Lambda${var.deployment}"
  service_role_arn       = aws_iam_role.CodeDeployRole.arn
  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
  }
  alarm_configuration {
    enabled = true
    # Only what the new version itself does: neither an outage elsewhere nor the fault of the version before may
    # stand in the way of its mending.
    alarms = [aws_cloudwatch_metric_alarm.PollerVersionErrors.alarm_name]
  }
}

resource "aws_codedeploy_deployment_group" "SinkFunction" {
  app_name               = aws_codedeploy_app.Release.name
  deployment_group_name  = aws_lambda_function.SinkFunction.function_name
  deployment_config_name = "CodeDeployDefault.Lambda${var.deployment}"
  service_role_arn       = aws_iam_role.CodeDeployRole.arn
  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
  }
  alarm_configuration {
    enabled = true
    alarms  = [aws_cloudwatch_metric_alarm.SinkVersionErrors.alarm_name]
  }
}
