"""What boto3's callers do with a function and what belongs to it; prints what it saw as JSON, for tools.test.ts."""
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, role, image = sys.argv[1:]
client = boto3.client("lambda", endpoint_url=endpoint, config=Config(retries={"max_attempts": 0}))
fast = {"Delay": 0.05, "MaxAttempts": 200}
seen = {}


def code(call, **arguments):
    """The error's code, status and message."""
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"], str(error)]
    raise AssertionError("not refused")


client.create_function(FunctionName="py", Role=role, PackageType="Image", Code={"ImageUri": image}, Publish=True)
client.get_waiter("function_exists").wait(FunctionName="py", WaiterConfig=fast)
client.get_waiter("function_active_v2").wait(FunctionName="py", WaiterConfig=fast)
client.get_waiter("function_active").wait(FunctionName="py", WaiterConfig=fast)
client.get_waiter("published_version_active").wait(FunctionName="py", Qualifier="1", WaiterConfig=fast)
client.update_function_configuration(FunctionName="py", Timeout=9)
seen["during update"] = code(client.update_function_configuration, FunctionName="py", Timeout=8)
client.get_waiter("function_updated_v2").wait(FunctionName="py", WaiterConfig=fast)
seen["published"] = client.publish_version(FunctionName="py", Description="second")["Version"]
pages = client.get_paginator("list_versions_by_function").paginate(FunctionName="py", PaginationConfig={"PageSize": 1})
seen["versions"] = [one["Version"] for page in pages for one in page["Versions"]]

client.create_alias(
    FunctionName="py", Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {"1": 0.25}}
)
seen["alias"] = client.get_alias(FunctionName="py", Name="live")["RoutingConfig"]
seen["by alias"] = client.get_function(FunctionName="py:live")["Configuration"]["Version"]
seen["no alias"] = code(client.get_alias, FunctionName="py", Name="none")

client.add_permission(
    FunctionName="py", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceAccount="123456789012"
)
seen["policy"] = json.loads(client.get_policy(FunctionName="py")["Policy"])
client.remove_permission(FunctionName="py", StatementId="s3")
try:
    client.get_policy(FunctionName="py")
except client.exceptions.ResourceNotFoundException as error:
    seen["no policy"] = error.response["Error"]["Message"]

client.put_function_concurrency(FunctionName="py", ReservedConcurrentExecutions=7)
seen["reserved"] = client.get_function_concurrency(FunctionName="py")["ReservedConcurrentExecutions"]
client.delete_function_concurrency(FunctionName="py")
put = client.put_provisioned_concurrency_config(FunctionName="py", Qualifier="2", ProvisionedConcurrentExecutions=1)
seen["provisioned"] = [put["ResponseMetadata"]["HTTPStatusCode"], put["Status"]]
client.delete_provisioned_concurrency_config(FunctionName="py", Qualifier="2")
seen["not provisioned"] = code(client.get_provisioned_concurrency_config, FunctionName="py", Qualifier="2")

url = client.create_function_url_config(FunctionName="py", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
seen["url"] = [url["AuthType"], url["Cors"], url["FunctionUrl"]]
client.delete_function_url_config(FunctionName="py")
seen["no url"] = code(client.get_function_url_config, FunctionName="py")

client.delete_alias(FunctionName="py", Name="live")
client.delete_function(FunctionName="py", Qualifier="1")
client.delete_function(FunctionName="py")
seen["deleted"] = code(client.get_function, FunctionName="py")
print(json.dumps(seen))
