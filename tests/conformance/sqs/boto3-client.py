"""What boto3's users do with queues, against the endpoint in argv[1]. Prints what it saw as JSON."""
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

sqs = boto3.client("sqs", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 0}))
seen = {}


def refusal(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return [type(error).__name__, error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]]
    return None


dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "1"})
url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "0", "RedrivePolicy": policy}, tags={"a": "b"})["QueueUrl"]
seen["tags"] = sqs.list_queue_tags(QueueUrl=url)["Tags"]

attributes = {
    "text": {"DataType": "String", "StringValue": "<é>"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
sent = sqs.send_message(QueueUrl=url, MessageBody="héllo <&>", MessageAttributes=attributes)
[message] = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
seen["body"] = message["Body"]
seen["digest"] = message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
seen["bytes"] = message["MessageAttributes"]["bytes"]["BinaryValue"].hex()
seen["again"] = sqs.receive_message(QueueUrl=url).get("Messages")
[letter] = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
seen["letter"] = letter["MessageId"] == sent["MessageId"]
seen["sources"] = sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]

seen["refusals"] = {
    "handle": refusal(sqs.delete_message, QueueUrl=url, ReceiptHandle="x"),
    "queue": refusal(sqs.get_queue_url, QueueName="none"),
    "number": refusal(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11),
    "exists": refusal(sqs.create_queue, QueueName="work", Attributes={"VisibilityTimeout": "9"}),
    "flight": refusal(sqs.change_message_visibility, QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=5),
}
batch = sqs.send_message_batch(QueueUrl=dead, Entries=[{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "\x01"}])
seen["batch"] = [[one["Id"] for one in batch["Successful"]], [one["Code"] for one in batch["Failed"]]]

fifo = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
ids = [sqs.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId="g")["MessageId"] for body in ["1", "2", "1"]]
seen["duplicate"] = ids[0] == ids[2]
order = []
for _ in range(2):
    [one] = sqs.receive_message(QueueUrl=fifo)["Messages"]
    order.append(one["Body"])
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=one["ReceiptHandle"])
seen["order"] = order
names = []
for page in sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 1}):
    names += [one.rsplit("/", 1)[1] for one in page.get("QueueUrls", [])]
seen["queues"] = names
for one in [url, dead, fifo]:
    sqs.delete_queue(QueueUrl=one)
print(json.dumps(seen))
