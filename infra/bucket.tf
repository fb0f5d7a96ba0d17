# The archive of original files.
resource "aws_s3_bucket" "Bucket" {
  bucket = "${var.service_name}-fit-${local.account}-${local.region}"
}

resource "aws_s3_bucket_versioning" "Bucket" {
  bucket = aws_s3_bucket.Bucket.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_ownership_controls" "Bucket" {
  bucket = aws_s3_bucket.Bucket.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "Bucket" {
  bucket                  = aws_s3_bucket.Bucket.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "Bucket" {
  bucket = aws_s3_bucket.Bucket.id
  rule {
    bucket_key_enabled = local.HasKey
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.HasKey ? "aws:kms" : "AES256"
      kms_master_key_id = local.HasKey ? var.kms_key_arn : null
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "Bucket" {
  bucket = aws_s3_bucket.Bucket.id
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  # Rules about versions are refused while versioning is not on yet.
  depends_on = [aws_s3_bucket_versioning.Bucket]
}

data "aws_iam_policy_document" "BucketPolicy" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.Bucket.arn, "${aws_s3_bucket.Bucket.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# An emulator is spoken to in plain HTTP, which this refuses.
resource "aws_s3_bucket_policy" "BucketPolicy" {
  count  = var.emulated ? 0 : 1
  bucket = aws_s3_bucket.Bucket.id
  policy = data.aws_iam_policy_document.BucketPolicy.json
}
