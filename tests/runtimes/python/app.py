"""Does what an event's "do" says: the behaviours of ../cases.ts in Python."""

import logging
import os
import pwd
import sys
import time

logger = logging.getLogger()
if os.environ.get("AWS_LAMBDA_LOG_FORMAT") != "JSON":
    logger.setLevel("INFO")


class Refused(Exception):
    pass


class Crash(BaseException):
    """No Exception: the runtime client does not catch it."""


if os.environ.get("INIT") == "error":
    raise Refused("told to fail at init")
if os.environ.get("INIT") == "exit":
    os._exit(3)

count = 0


def error(event, context):
    raise Refused("told to fail")


def crash(event, context):
    raise Crash("told to crash")


def log(event, context):
    text = event["text"]
    print(f"{text} to stdout")
    print(f"{text} to stderr", file=sys.stderr)
    logger.debug("%s at debug", text)
    logger.info("%s at info", text)
    logger.error("%s at error", text)
    return "logged"


def context_values(event, context):
    client_context = context.client_context
    return {
        "requestId": context.aws_request_id,
        "remainingMs": context.get_remaining_time_in_millis(),
        "functionArn": context.invoked_function_arn,
        "functionName": context.function_name,
        "functionVersion": context.function_version,
        "memoryMiB": int(context.memory_limit_in_mb),
        "logGroup": context.log_group_name,
        "logStream": context.log_stream_name,
        "appTitle": client_context and client_context.client.app_title,
        "colour": client_context and client_context.custom["colour"],
        "traceId": os.environ.get("_X_AMZN_TRACE_ID"),
        "environment": dict(os.environ),
    }


def home(event, context):
    user = pwd.getpwuid(os.getuid())
    return {"name": user.pw_name, "home": os.path.expanduser("~"), "exists": os.path.exists(user.pw_dir)}


actions = {
    "echo": lambda event, context: event["value"],
    "nothing": lambda event, context: None,
    "count": lambda event, context: count,
    "length": lambda event, context: len(event["text"]),
    "big": lambda event, context: "x" * event["size"],
    "context": context_values,
    "error": error,
    "crash": crash,
    "exit": lambda event, context: sys.exit(event["code"]),
    "home": home,
    "hang": lambda event, context: time.sleep(60),
    "log": log,
}


def handler(event, context):
    global count
    count += 1
    return actions[event["do"]](event, context)
