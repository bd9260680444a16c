// The benches' own function. Its event is a number: of pieces of 64 KiB to stream, where 0 stands for one piece of 16 bytes; a
// negative one is answered plainly after so many milliseconds. The Runtime API's client is that of examples/functions/static.

typedef unsigned long usize;
typedef long isize;

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_nanosleep = 35, SYS_socket = 41, SYS_connect = 42, SYS_exit = 231 };
static isize call(isize number, isize a, isize b, isize c) {
	isize result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_close = 57, SYS_nanosleep = 101, SYS_socket = 198, SYS_connect = 203, SYS_exit = 94 };
static isize call(isize number, isize a, isize b, isize c) {
	register isize x8 __asm__("x8") = number;
	register isize x0 __asm__("x0") = a;
	register isize x1 __asm__("x1") = b;
	register isize x2 __asm__("x2") = c;
	register isize x3 __asm__("x3") = 0;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl run\n");
#else
#error "This example knows x86_64 and aarch64"
#endif

static void quit(int code) {
	for (;;) call(SYS_exit, code, 0, 0);
}

static void complain(const char *text) {
	usize length = 0;
	while (text[length]) length++;
	call(SYS_write, 2, (isize)text, (isize)length);
	quit(1);
}

// Events of this function are a few bytes.
static char received[65536];
static char request[512];
static char id[128];

static struct {
	unsigned short family, port;
	unsigned int address;
	char padding[8];
} server = {.family = 2};

static int startsWith(const char *text, const char *prefix) {
	while (*prefix)
		if ((*text++ | 32) != (*prefix++ | 32)) return 0;
	return 1;
}

static char *append(char *to, const char *text) {
	while (*text) *to++ = *text++;
	return to;
}

// "127.0.0.1:9001"
static void parseServer(const char *text) {
	unsigned char *bytes = (unsigned char *)&server.address;
	for (int i = 0; i < 4; i++) {
		unsigned int number = 0;
		while (*text >= '0' && *text <= '9') number = number * 10 + (unsigned int)(*text++ - '0');
		bytes[i] = (unsigned char)number;
		if (*text != (i < 3 ? '.' : ':')) complain("AWS_LAMBDA_RUNTIME_API is not IPv4:PORT\n");
		text++;
	}
	unsigned int port = 0;
	while (*text >= '0' && *text <= '9') port = port * 10 + (unsigned int)(*text++ - '0');
	server.port = (unsigned short)(port << 8 | port >> 8);
}

static int connection = -1;

static void sendAll(const char *bytes, usize length) {
	while (length > 0) {
		isize sent = call(SYS_write, connection, (isize)bytes, (isize)length);
		if (sent <= 0) complain("The Runtime API closed the connection\n");
		bytes += sent;
		length -= (usize)sent;
	}
}

// Reads one answer; returns its body and sets its length and the request id, if it has one.
static char *readAnswer(usize *bodyLength) {
	usize filled = 0, scanned = 0, bodyStart = 0;
	*bodyLength = 0;
	for (;;) {
		isize count = call(SYS_read, connection, (isize)(received + filled), (isize)(sizeof received - filled));
		if (count <= 0) complain("The Runtime API closed the connection\n");
		filled += (usize)count;
		while (bodyStart == 0 && scanned + 3 < filled) {
			char *at = received + scanned;
			if (at[0] == '\r' && at[1] == '\n') {
				if (at[2] == '\r' && at[3] == '\n') {
					bodyStart = scanned + 4;
					break;
				}
				// A header's name and value may not have arrived in full: look again when its line ends.
				usize end = scanned + 2;
				while (end < filled && received[end] != '\n') end++;
				if (end == filled) break;
				char *header = at + 2;
				if (startsWith(header, "content-length:")) {
					header += 15;
					while (*header == ' ') header++;
					while (*header >= '0' && *header <= '9') *bodyLength = *bodyLength * 10 + (usize)(*header++ - '0');
				} else if (startsWith(header, "lambda-runtime-aws-request-id:")) {
					header += 30;
					while (*header == ' ') header++;
					usize i = 0;
					while (*header > ' ' && i < sizeof id - 1) id[i++] = *header++;
					id[i] = 0;
				}
			}
			scanned++;
		}
		if (bodyStart > 0 && filled - bodyStart >= *bodyLength) return received + bodyStart;
	}
}

// A chunk of HTTP/1.1: its length in hexadecimal, the bytes, and a line's end.
static char piece[5 + 2 + 65536 + 2] = "10000\r\n";

static void answerAfter(const char *digits, usize length) {
	isize milliseconds = 0;
	for (usize i = 0; i < length && digits[i] >= '0' && digits[i] <= '9'; i++) milliseconds = milliseconds * 10 + (digits[i] - '0');
	isize time[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	call(SYS_nanosleep, (isize)time, 0, 0);
	char *end = append(append(request, "POST /2018-06-01/runtime/invocation/"), id);
	end = append(end, "/response HTTP/1.1\r\nHost: runtime\r\nContent-Length: 2\r\n\r\n{}");
	sendAll(request, (usize)(end - request));
	readAnswer(&length);
}

__attribute__((used)) void run(isize *stack) {
	char **environment = (char **)(stack + 1 + *stack + 1);
	for (; *environment; environment++)
		if (startsWith(*environment, "AWS_LAMBDA_RUNTIME_API=")) parseServer(*environment + 23);
	if (server.port == 0) complain("AWS_LAMBDA_RUNTIME_API is not set\n");
	connection = (int)call(SYS_socket, 2, 1, 0);
	if (connection < 0 || call(SYS_connect, connection, (isize)&server, sizeof server) < 0)
		complain("The Runtime API can't be reached\n");
	for (usize i = 7; i < 7 + 65536; i++) piece[i] = 'x';
	piece[7 + 65536] = '\r';
	piece[7 + 65536 + 1] = '\n';
	static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
	static const char small[] = "10\r\n0123456789abcdef\r\n0\r\n\r\n";
	for (;;) {
		usize length, count = 0;
		sendAll(next, sizeof next - 1);
		char *event = readAnswer(&length);
		if (length > 0 && event[0] == '-') {
			answerAfter(event + 1, length - 1);
			continue;
		}
		for (usize i = 0; i < length && event[i] >= '0' && event[i] <= '9'; i++) count = count * 10 + (usize)(event[i] - '0');
		char *end = append(request, "POST /2018-06-01/runtime/invocation/");
		end = append(append(end, id), "/response HTTP/1.1\r\nHost: runtime\r\nTransfer-Encoding: chunked\r\n");
		end = append(end, "Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n");
		// A short answer is one packet: a second one would wait 40 ms for the first one's delayed acknowledgement.
		if (count == 0) end = append(end, small);
		sendAll(request, (usize)(end - request));
		for (usize i = 0; i < count; i++) sendAll(piece, sizeof piece);
		if (count > 0) sendAll("0\r\n\r\n", 5);
		readAnswer(&length);
	}
}
