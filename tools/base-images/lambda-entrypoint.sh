#!/bin/sh
# As in the public base images: on a platform AWS_LAMBDA_RUNTIME_API is set, on a laptop the emulator stands in for it.
if [ $# -ne 1 ]; then
	echo "entrypoint requires the handler name to be the first argument" >&2
	exit 142
fi
export _HANDLER="$1"
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
	exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
fi
exec /var/runtime/bootstrap
