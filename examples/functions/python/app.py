import platform

import humanize


def handler(event, context):
    name = event.get("name", "world")
    return {
        "statusCode": 200,
        "body": f"Hello {name}, {humanize.intcomma(event.get('number', 1234567))} times",
        "python": platform.python_version().rsplit(".", 1)[0],
        "function": context.function_name,
    }
