// The benches' own service, on $PORT: answers "ok"; /wait four seconds later; /stream with a gigabyte of zeros; an Upgrade with 101, and is
// silent from then on.
// One thread, no library, nothing allocated: what is measured beside it is what stands before it.

typedef unsigned long usize;
typedef long isize;

#if defined(__x86_64__)
enum {
	SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_socket = 41, SYS_sendto = 44, SYS_bind = 49, SYS_listen = 50, SYS_setsockopt = 54,
	SYS_clock_gettime = 228, SYS_exit = 231, SYS_epoll_ctl = 233, SYS_epoll_pwait = 281, SYS_accept4 = 288, SYS_epoll_create1 = 291
};
static isize call(isize number, isize a, isize b, isize c, isize d, isize e) {
	register isize r10 __asm__("r10") = d;
	register isize r8 __asm__("r8") = e;
	register isize r9 __asm__("r9") = 0;
	isize result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
#define PACKED __attribute__((packed))
#elif defined(__aarch64__)
enum {
	SYS_epoll_create1 = 20, SYS_epoll_ctl = 21, SYS_epoll_pwait = 22, SYS_close = 57, SYS_read = 63, SYS_write = 64, SYS_exit = 94,
	SYS_clock_gettime = 113, SYS_socket = 198, SYS_bind = 200, SYS_listen = 201, SYS_sendto = 206, SYS_setsockopt = 208, SYS_accept4 = 242
};
static isize call(isize number, isize a, isize b, isize c, isize d, isize e) {
	register isize x8 __asm__("x8") = number;
	register isize x0 __asm__("x0") = a;
	register isize x1 __asm__("x1") = b;
	register isize x2 __asm__("x2") = c;
	register isize x3 __asm__("x3") = d;
	register isize x4 __asm__("x4") = e;
	register isize x5 __asm__("x5") = 0;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl run\n");
#define PACKED
#else
#error "This service knows x86_64 and aarch64"
#endif

enum { EPOLLIN = 1, EPOLLOUT = 4, ADD = 1, MODIFY = 3, NONBLOCK = 04000, CLOEXEC = 02000000, NOSIGNAL = 040000 };
enum { AGAIN = -11, INTERRUPTED = -4, waitMs = 4000, most = 16384, streamBytes = 1000000000 };

struct event {
	unsigned int events;
	unsigned long data;
} PACKED;

static char received[65536];
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
static const char stream[] = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000000\r\n\r\n";
static char zeros[65536];
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

// Those that wait, in the order in which they are due: all wait for the same time.
static struct {
	int connection;
	isize dueMs;
} waiting[most];
static usize first, last;
// Bytes of its stream that a connection has still to get.
static isize left[most];

static void quit(const char *why) {
	usize length = 0;
	while (why[length]) length++;
	call(SYS_write, 2, (isize)why, (isize)length, 0, 0);
	for (;;) call(SYS_exit, 1, 0, 0, 0, 0);
}

static isize must(isize result, const char *why) {
	if (result < 0) quit(why);
	return result;
}

static isize nowMs(void) {
	isize time[2];
	call(SYS_clock_gettime, 1, (isize)time, 0, 0, 0);
	return time[0] * 1000 + time[1] / 1000000;
}

static int portOf(char **environment) {
	for (; *environment; environment++) {
		char *text = *environment;
		if (text[0] != 'P' || text[1] != 'O' || text[2] != 'R' || text[3] != 'T' || text[4] != '=') continue;
		int port = 0;
		for (text += 5; *text >= '0' && *text <= '9'; text++) port = port * 10 + *text - '0';
		return port;
	}
	quit("PORT is not set\n");
	return 0;
}

static int listenOn(int port) {
	struct {
		unsigned short family, port;
		unsigned int address;
		char padding[8];
	} address = {.family = 2, .port = (unsigned short)(port << 8 | port >> 8)};
	int one = 1;
	isize server = must(call(SYS_socket, 2, 1 | NONBLOCK | CLOEXEC, 0, 0, 0), "no socket\n");
	call(SYS_setsockopt, server, 1, 2, (isize)&one, sizeof one);
	must(call(SYS_bind, server, (isize)&address, sizeof address, 0, 0), "the port is taken\n");
	must(call(SYS_listen, server, 4096, 0, 0, 0), "can't listen\n");
	return (int)server;
}

static void watch(isize poll, int how, int fd, unsigned int events) {
	struct event event = {.events = events, .data = (unsigned long)fd};
	must(call(SYS_epoll_ctl, poll, how, fd, (isize)&event, 0), "can't watch\n");
}

// To one that has gone it fails, which the next read of it tells.
static isize sendTo(int connection, const char *bytes, usize length) {
	return call(SYS_sendto, connection, (isize)bytes, (isize)length, NOSIGNAL, 0);
}

static void acceptAll(isize poll, int server) {
	for (;;) {
		isize connection = call(SYS_accept4, server, 0, 0, NONBLOCK | CLOEXEC, 0);
		if (connection < 0) return;
		if (connection >= most) quit("too many connections\n");
		left[connection] = 0;
		int one = 1;
		call(SYS_setsockopt, connection, 6, 1, (isize)&one, sizeof one);
		watch(poll, ADD, (int)connection, EPOLLIN);
	}
}

static int has(isize length, const char *text) {
	for (isize i = 0; i < length; i++) {
		isize j = 0;
		while (text[j] && i + j < length && (received[i + j] | 32) == (text[j] | 32)) j++;
		if (!text[j]) return 1;
	}
	return 0;
}

static void forget(int connection) {
	for (usize i = first; i < last; i++)
		if (waiting[i % most].connection == connection) waiting[i % most].connection = -1;
	call(SYS_close, connection, 0, 0, 0, 0);
}

static void sendOn(isize poll, int connection) {
	while (left[connection] > 0) {
		usize length = left[connection] < (isize)sizeof zeros ? (usize)left[connection] : sizeof zeros;
		isize sent = sendTo(connection, zeros, length);
		if (sent < 0) break;
		left[connection] -= sent;
	}
	watch(poll, MODIFY, connection, left[connection] > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

// A request comes in one piece: those of the benches are a few hundred bytes.
static void serve(isize poll, int connection) {
	isize length = call(SYS_read, connection, (isize)received, sizeof received, 0, 0);
	if (length == AGAIN || length == INTERRUPTED) return;
	if (length <= 0) {
		forget(connection);
		return;
	}
	if (has(length, "\r\nupgrade: websocket")) sendTo(connection, switching, sizeof switching - 1);
	else if (has(length < 16 ? length : 16, " /stream")) {
		sendTo(connection, stream, sizeof stream - 1);
		left[connection] = streamBytes;
		sendOn(poll, connection);
	} else if (has(length < 16 ? length : 16, " /wait")) {
		waiting[last % most].connection = connection;
		waiting[last++ % most].dueMs = nowMs() + waitMs;
	} else if (has(length, "\r\n\r\n")) sendTo(connection, ok, sizeof ok - 1);
}

static int untilDue(void) {
	for (; first < last; first++) {
		isize ms = waiting[first % most].dueMs - nowMs();
		if (ms > 0) return (int)ms;
		if (waiting[first % most].connection >= 0) sendTo(waiting[first % most].connection, ok, sizeof ok - 1);
	}
	return -1;
}

__attribute__((used)) void run(isize *stack) {
	int server = listenOn(portOf((char **)(stack + 2 + stack[0])));
	isize poll = must(call(SYS_epoll_create1, 0, 0, 0, 0, 0), "no epoll\n");
	static struct event events[512];
	watch(poll, ADD, server, EPOLLIN);
	for (;;) {
		isize count = call(SYS_epoll_pwait, poll, (isize)events, 512, untilDue(), 0);
		for (isize i = 0; i < count; i++) {
			int fd = (int)events[i].data;
			if (fd == server) acceptAll(poll, server);
			else if (events[i].events & EPOLLOUT) sendOn(poll, fd);
			else serve(poll, fd);
		}
	}
}
