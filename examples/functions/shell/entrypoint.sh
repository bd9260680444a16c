#!/bin/sh
set -euo pipefail
###############################################################
# Container initialization before processing invocations     #
###############################################################
echo "Making the site generator..."
cd /tmp
# Stands in for a download: /tmp is the only place that a function may write to.
cat > hugo <<'GENERATOR'
#!/bin/sh
set -euo pipefail
mkdir -p "$2/public"
for page in "$2"/content/*.md; do
  printf '<h1>%s</h1>\n' "$(head -n 1 "$page")" > "$2/public/$(basename "$page" .md).html"
done
GENERATOR
chmod +x hugo
###############################################
# Processing invocations in the container      #
###############################################
while true
do
  # Create a temporary file for headers
  HEADERS_FILE="$(mktemp)"
  # Fetch the next event (blocks until an event is available)
  EVENT_DATA=$(curl -sS -LD "$HEADERS_FILE" -X GET "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")
  # Extract the request ID from headers
  REQUEST_ID=$(grep -i "Lambda-Runtime-Aws-Request-Id" "$HEADERS_FILE" | tr -d '[:space:]' | cut -d: -f2)
  ############################
  # Execute business logic   #
  ############################
  EVENT_DATA="$EVENT_DATA" /businesslogic.sh
  ############################
  # Send the response to Lambda
  curl -X POST "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$REQUEST_ID/response" -d '"statusCode": 200'
  rm -f "$HEADERS_FILE"
done
