# The ledger. Attributes and indexes are those of crates/aws/src/ledger.
resource "aws_dynamodb_table" "Table" {
  name                        = "${var.service_name}-ledger"
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection
  hash_key                    = "pk"
  range_key                   = "sk"

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
  attribute {
    name = "d"
    type = "S"
  }
  attribute {
    name = "da"
    type = "N"
  }
  attribute {
    name = "p"
    type = "S"
  }
  global_secondary_index {
    name            = "due"
    hash_key        = "d"
    range_key       = "da"
    projection_type = "KEYS_ONLY"
  }
  global_secondary_index {
    name            = "plan"
    hash_key        = "p"
    range_key       = "sk"
    projection_type = "KEYS_ONLY"
  }
  point_in_time_recovery {
    enabled = true
  }
  dynamic "server_side_encryption" {
    for_each = local.HasKey ? [1] : []
    content {
      enabled     = true
      kms_key_arn = var.kms_key_arn
    }
  }
}
