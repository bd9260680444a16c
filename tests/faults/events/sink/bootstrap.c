// The fault run's function: tells the run of each event that it gets, over a connection to the machine, and succeeds or
// fails as the run says. The run lives on when the daemon is killed, so that it knows of every delivery.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// A batch of messages is some kilobytes; an event of Lambda's at most six megabytes.
static char received[6 * 1024 * 1024 + 65536];
static char head[512];
static char id[128];
static int api = -1, run = -1;

static void complain(const char *text) {
	fprintf(stderr, "%s\n", text);
	exit(1);
}

static int connectTo(const char *host, int port) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) complain("not an IPv4 address");
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
	// What is written in two pieces does not wait for the first one's acknowledgement, which comes 40 ms late.
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void sendAll(int fd, const char *bytes, size_t length) {
	while (length > 0) {
		ssize_t sent = write(fd, bytes, length);
		if (sent <= 0) complain("a connection was closed");
		bytes += sent;
		length -= (size_t)sent;
	}
}

static void receiveAll(int fd, char *bytes, size_t length) {
	while (length > 0) {
		ssize_t count = read(fd, bytes, length);
		if (count <= 0) complain("a connection was closed");
		bytes += count;
		length -= (size_t)count;
	}
}

// Reads one answer of the Runtime API: its body, and the request id if it has one.
static char *readAnswer(size_t *length) {
	size_t filled = 0;
	char *body = NULL;
	*length = 0;
	while (body == NULL || filled - (size_t)(body - received) < *length) {
		if (filled == sizeof received - 1) complain("an answer is too long");
		ssize_t count = read(api, received + filled, sizeof received - 1 - filled);
		if (count <= 0) complain("the Runtime API closed the connection");
		filled += (size_t)count;
		received[filled] = 0;
		if (body != NULL) continue;
		char *end = strstr(received, "\r\n\r\n");
		if (end == NULL) continue;
		*end = 0;
		body = end + 4;
		char *found = strcasestr(received, "\r\ncontent-length:");
		if (found != NULL) *length = strtoul(found + 17, NULL, 10);
		found = strcasestr(received, "\r\nlambda-runtime-aws-request-id:");
		if (found != NULL) sscanf(found + 32, " %127[^\r\n ]", id);
	}
	return body;
}

// "ID LENGTH\n" and the event go to the run; "." or "!" (an error), eight hexadecimal digits and so many bytes of answer come back.
static char answer[65536];
static int isWelcome(const char *event, size_t length) {
	int size = snprintf(head, sizeof head, "%s %zu\n", id, length);
	sendAll(run, head, (size_t)size);
	sendAll(run, event, length);
	char said[10];
	receiveAll(run, said, 9);
	said[9] = 0;
	size_t answered = strtoul(said + 1, NULL, 16);
	if (answered >= sizeof answer) complain("the run's answer is too long");
	receiveAll(run, answer, answered);
	answer[answered] = 0;
	return said[0] == '.';
}

int main(void) {
	const char *server = getenv("AWS_LAMBDA_RUNTIME_API"), *port = getenv("SINK_PORT");
	if (server == NULL || port == NULL) complain("AWS_LAMBDA_RUNTIME_API and SINK_PORT must be set");
	char host[64];
	int apiPort = 0;
	if (sscanf(server, "%63[^:]:%d", host, &apiPort) != 2) complain("AWS_LAMBDA_RUNTIME_API is not IPv4:PORT");
	api = connectTo(host, apiPort);
	run = connectTo("169.254.170.2", atoi(port));
	if (api < 0 || run < 0) complain("the Runtime API or the run can't be reached");
	static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
	for (;;) {
		size_t length;
		sendAll(api, next, sizeof next - 1);
		char *event = readAnswer(&length);
		int welcome = isWelcome(event, length);
		int size = snprintf(head, sizeof head,
			"POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: runtime\r\nContent-Length: %zu\r\n\r\n%s", id,
			welcome ? "response" : "error", strlen(answer), answer);
		sendAll(api, head, (size_t)size);
		readAnswer(&length);
	}
}
