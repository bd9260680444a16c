"""What boto3's users do with queues, the bus, schedules and asynchronous functions. argv: endpoint, function, role. Prints what it saw as JSON."""
import datetime
import hashlib
import json
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, function, role = sys.argv[1:]
tag = uuid.uuid4().hex[:8]
# Bodies as they go over the wire tell the protocol.
types = set()


def client(service):
    made = boto3.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": 0}))

    def note(request, **_):
        kind = request.headers.get("Content-Type", b"")
        types.add((service, kind.decode() if isinstance(kind, bytes) else kind))

    made.meta.events.register(f"before-send.{service}", note)
    return made


sqs, events, scheduler, functions = client("sqs"), client("events"), client("scheduler"), client("lambda")
seen = {}


def arn_of(url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def take(url, count):
    taken = []
    end = time.monotonic() + 60
    while len(taken) < count and time.monotonic() < end:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, AttributeNames=["All"], MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            assert hashlib.md5(message["Body"].encode()).hexdigest() == message["MD5OfBody"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            taken.append(message)
    return taken


def refusal(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


url = sqs.create_queue(QueueName=f"py-{tag}", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
arn = arn_of(url)
sqs.send_message(QueueUrl=url, MessageBody="héllo <&>", MessageAttributes={"n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}})
[message] = take(url, 1)
seen["message"] = [message["Body"], message["MessageAttributes"]["n"]["StringValue"], message["MessageAttributes"]["b"]["BinaryValue"].hex()]
batch = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "\x01"}])
seen["batch"] = [[one["Id"] for one in batch["Successful"]], [[one["Id"], one["SenderFault"]] for one in batch["Failed"]]]
take(url, 1)
seen["no queue"] = refusal(sqs.get_queue_url, QueueName="no-such-queue")

fifo = sqs.create_queue(QueueName=f"py-{tag}.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
for body in ["1", "2", "1", "3"]:
    sqs.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId="g")
seen["fifo"] = [message["Body"] for message in take(fifo, 3)]

bus = f"py-{tag}"
events.create_event_bus(Name=bus)
events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"source": [{"prefix": "py"}]}))
seen["targets"] = events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "q", "Arn": arn, "InputPath": "$.detail"}])["FailedEntryCount"]
put = events.put_events(Entries=[{"EventBusName": bus, "Source": "python", "DetailType": "T", "Detail": '{"a": 1}', "Time": datetime.datetime.now()}, {"EventBusName": bus, "Source": "python", "DetailType": "T", "Detail": "not json"}])
seen["put"] = [put["FailedEntryCount"], put["Entries"][1]["ErrorCode"]]
seen["event"] = json.loads(take(url, 1)[0]["Body"])
seen["pattern"] = refusal(events.put_rule, Name="wrong", EventPattern='{"source": "python"}')

at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).strftime("at(%Y-%m-%dT%H:%M:%S)")
scheduler.create_schedule(Name=f"py-{tag}", ScheduleExpression=at, FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": arn, "RoleArn": role, "Input": '{"tick": true}'})
seen["tick"] = json.loads(take(url, 1)[0]["Body"])

functions.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}})
answer = functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"do": "fail", "message": tag}))
seen["status"] = [answer["StatusCode"], answer["Payload"].read().decode()]
record = json.loads(take(url, 1)[0]["Body"])
seen["record"] = [record["requestContext"]["requestId"] == answer["ResponseMetadata"]["RequestId"], record["requestContext"]["condition"], record["responsePayload"]["errorMessage"] == tag]

work = sqs.create_queue(QueueName=f"py-work-{tag}")["QueueUrl"]
mapping = functions.create_event_source_mapping(FunctionName=function, EventSourceArn=arn_of(work), BatchSize=1)
seen["mapping"] = [mapping["State"], functions.list_event_source_mappings(EventSourceArn=arn_of(work))["EventSourceMappings"][0]["UUID"] == mapping["UUID"]]
sqs.send_message(QueueUrl=work, MessageBody="x")
end = time.monotonic() + 60
while time.monotonic() < end:
    counts = sqs.get_queue_attributes(QueueUrl=work, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])["Attributes"]
    if set(counts.values()) == {"0"}:
        break
    time.sleep(0.1)
seen["left"] = sorted(counts.values())
functions.delete_event_source_mapping(UUID=mapping["UUID"])
seen["sqs protocol"] = sorted(kind for service, kind in types if service == "sqs")
print(json.dumps(seen))
