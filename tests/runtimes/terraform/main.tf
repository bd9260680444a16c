terraform {
  required_providers {
    # The address of the test's own mirror of the provider.
    aws = { source = "mirror.example/hashicorp/aws" }
  }
}

variable "endpoint" { type = string }
variable "image" { type = string }
variable "role" { type = string }
variable "memory" {
  type    = number
  default = 256
}
# Everything around the function too.
variable "release" {
  type    = bool
  default = false
}

provider "aws" {
  region                  = "us-east-1"
  skip_metadata_api_check = true
  skip_get_ec2_platforms  = true
  endpoints {
    cloudwatchlogs = var.endpoint
    ecr            = var.endpoint
    lambda         = var.endpoint
    sts            = var.endpoint
  }
}

resource "aws_lambda_function" "site" {
  function_name                  = "terraform-site"
  package_type                   = "Image"
  image_uri                      = var.image
  role                           = var.role
  memory_size                    = var.memory
  timeout                        = 10
  publish                        = var.release
  reserved_concurrent_executions = var.release ? 20 : -1
  environment {
    variables = { COLOUR = "green" }
  }
  tags = { team = "tides" }
}

resource "aws_lambda_alias" "live" {
  count            = var.release ? 1 : 0
  name             = "live"
  function_name    = aws_lambda_function.site.function_name
  function_version = aws_lambda_function.site.version
}

resource "aws_lambda_permission" "bucket" {
  count         = var.release ? 1 : 0
  statement_id  = "bucket"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.site.function_name
  qualifier     = aws_lambda_alias.live[0].name
  principal     = "s3.amazonaws.com"
  source_arn    = "arn:aws:s3:::tides"
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count                             = var.release ? 1 : 0
  function_name                     = aws_lambda_function.site.function_name
  qualifier                         = aws_lambda_alias.live[0].name
  provisioned_concurrent_executions = 1
}

resource "aws_cloudwatch_log_group" "site" {
  count             = var.release ? 1 : 0
  name              = "/tides/site"
  retention_in_days = 7
}

resource "aws_ecr_repository" "site" {
  count = var.release ? 1 : 0
  name  = "tides/site"
}

output "arn" { value = aws_lambda_function.site.arn }
output "alias" { value = var.release ? aws_lambda_alias.live[0].arn : "" }
