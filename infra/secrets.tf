# Keyrings start empty; `fitbridge admin vault init` fills them. Each function may read its own only. They are there
# with either vault, so that moving between the two, and back, neither loses a key nor meets a name that is taken.
# As with the template, they stay when all else is destroyed: docs/DEPLOY.md has how.
resource "aws_secretsmanager_secret" "KeyringSource" {
  name        = "${var.service_name}/keyring/source"
  description = "Keys that seal iGPSport tokens. Without them every rider has to connect again."
  kms_key_id  = local.HasKey ? var.kms_key_arn : null
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_secretsmanager_secret" "KeyringSink" {
  name        = "${var.service_name}/keyring/sink"
  description = "Keys that seal the credentials of sinks. Without them every rider has to connect again."
  kms_key_id  = local.HasKey ? var.kms_key_arn : null
  lifecycle {
    prevent_destroy = true
  }
}
