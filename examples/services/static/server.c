// The smallest service: no C library, a dozen system calls, an image of some 10 KB. Answers every request on $PORT with one
// line; GET /fail answers 500. Ends by itself on SIGTERM, as every service should.
// Build: gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -o server server.c

typedef unsigned long usize;
typedef long isize;

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_rt_sigprocmask = 14, SYS_socket = 41, SYS_bind = 49, SYS_listen = 50, SYS_exit = 231, SYS_ppoll = 271, SYS_accept4 = 288, SYS_signalfd4 = 289 };
static isize call(isize number, isize a, isize b, isize c, isize d) {
	isize result;
	register isize r10 __asm__("r10") = d;
	register isize r8 __asm__("r8") = 8;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_close = 57, SYS_rt_sigprocmask = 135, SYS_socket = 198, SYS_bind = 200, SYS_listen = 201, SYS_exit = 94, SYS_ppoll = 73, SYS_accept4 = 242, SYS_signalfd4 = 74 };
static isize call(isize number, isize a, isize b, isize c, isize d) {
	register isize x8 __asm__("x8") = number;
	register isize x0 __asm__("x0") = a;
	register isize x1 __asm__("x1") = b;
	register isize x2 __asm__("x2") = c;
	register isize x3 __asm__("x3") = d;
	register isize x4 __asm__("x4") = 8;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl run\n");
#else
#error "This example knows x86_64 and aarch64"
#endif

enum { CONNECTIONS = 256, HEAD = 16384, POLLIN = 1, CLOEXEC = 02000000, NONBLOCK = 04000, SIGTERM_BIT = 1 << 14 };

struct pollfd { int fd; short events, revents; };
static struct pollfd waiting[2 + CONNECTIONS];
static char heads[CONNECTIONS][HEAD];
static usize lengths[CONNECTIONS];
static struct { unsigned short family, port; unsigned int address; char padding[8]; } name = {.family = 2};
static char ok[256], failed[] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 7\r\n\r\nfailed\n";
static usize ok_length;

static usize length_of(const char *text) {
	usize length = 0;
	while (text[length]) length++;
	return length;
}

static const char *variable(char **environment, const char *key, const char *otherwise) {
	usize length = length_of(key);
	for (; *environment; environment++) {
		usize i = 0;
		while (i < length && (*environment)[i] == key[i]) i++;
		if (i == length && (*environment)[i] == '=') return *environment + length + 1;
	}
	return otherwise;
}

static void add(const char *text) {
	for (; *text && ok_length < sizeof ok; text++) ok[ok_length++] = *text;
}

static void add_number(usize number) {
	char digits[21], *at = digits + 20;
	*at = 0;
	do *--at = (char)('0' + number % 10); while (number /= 10);
	add(at);
}

static void make_answer(const char *revision) {
	usize length = length_of(revision);
	if (length > 100) length = 100;
	add("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ");
	add_number(sizeof "Hello from \n" - 1 + length);
	add("\r\n\r\nHello from ");
	for (usize i = 0; i < length; i++) ok[ok_length++] = revision[i];
	add("\n");
}

static void answer(int fd, const char *head) {
	int fails = 0;
	for (const char *at = head; *at && *at != '\r'; at++)
		if (at[0] == ' ' && at[1] == '/' && at[2] == 'f' && at[3] == 'a' && at[4] == 'i' && at[5] == 'l') fails = 1;
	if (fails) call(SYS_write, fd, (isize)failed, sizeof failed - 1, 0);
	else call(SYS_write, fd, (isize)ok, (isize)ok_length, 0);
}

// Requests have no body here: a head ends at its empty line. Returns what is left of the bytes.
static void serve(int slot) {
	struct pollfd *connection = &waiting[2 + slot];
	char *head = heads[slot];
	isize got = call(SYS_read, connection->fd, (isize)(head + lengths[slot]), (isize)(HEAD - 1 - lengths[slot]), 0);
	if (got <= 0) {
		call(SYS_close, connection->fd, 0, 0, 0);
		connection->fd = -1;
		lengths[slot] = 0;
		return;
	}
	usize length = lengths[slot] + (usize)got, start = 0;
	head[length] = 0;
	for (usize i = 3; i < length; i++)
		if (i >= start + 3 && head[i] == '\n' && head[i - 1] == '\r' && head[i - 2] == '\n') {
			answer(connection->fd, head + start);
			start = i + 1;
		}
	for (usize i = start; i < length; i++) head[i - start] = head[i];
	lengths[slot] = length - start;
}

static void take(int listener) {
	int fd = (int)call(SYS_accept4, listener, 0, 0, CLOEXEC | NONBLOCK);
	if (fd < 0) return;
	for (int slot = 0; slot < CONNECTIONS; slot++)
		if (waiting[2 + slot].fd < 0) {
			waiting[2 + slot].fd = fd;
			return;
		}
	call(SYS_close, fd, 0, 0, 0);
}

void run(char **stack) {
	usize count = (usize)stack[0];
	char **environment = stack + count + 2;
	usize port = 0;
	for (const char *digit = variable(environment, "PORT", "8080"); *digit >= '0' && *digit <= '9'; digit++) port = port * 10 + (usize)(*digit - '0');
	name.port = (unsigned short)((port << 8 | port >> 8) & 0xffff);
	make_answer(variable(environment, "K_REVISION", "nowhere"));
	usize set = SIGTERM_BIT;
	call(SYS_rt_sigprocmask, 0, (isize)&set, 0, 8);
	int listener = (int)call(SYS_socket, 2, 1 | CLOEXEC, 0, 0);
	if (listener < 0 || call(SYS_bind, listener, (isize)&name, sizeof name, 0) < 0 || call(SYS_listen, listener, 1024, 0, 0) < 0) {
		call(SYS_write, 2, (isize)"The port is taken\n", 18, 0);
		call(SYS_exit, 1, 0, 0, 0);
	}
	for (int i = 0; i < 2 + CONNECTIONS; i++) waiting[i] = (struct pollfd){-1, POLLIN, 0};
	waiting[0].fd = (int)call(SYS_signalfd4, -1, (isize)&set, 8, CLOEXEC);
	waiting[1].fd = listener;
	for (;;) {
		call(SYS_ppoll, (isize)waiting, 2 + CONNECTIONS, 0, 0);
		if (waiting[0].revents) call(SYS_exit, 0, 0, 0, 0);
		for (int slot = 0; slot < CONNECTIONS; slot++)
			if (waiting[2 + slot].fd >= 0 && waiting[2 + slot].revents) serve(slot);
		if (waiting[1].revents) take(listener);
	}
}
