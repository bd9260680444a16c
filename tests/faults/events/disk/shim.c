// Stands between the daemon and its disk and clock (LD_PRELOAD), for the files whose names begin with one of SHIM_FILES (A:B:…):
// - Keeps beside each one a copy that has only what was synced, as a disk has it after a loss of power: SHIM_FOLDER/NAME.
// - Fails writes and syncs while SHIM_FOLDER/control says so. A sync that failed leaves its pages clean and not written, as
//   Linux does (https://wiki.postgresql.org/wiki/Fsync_Errors).
// - Makes syncs slow, so that a kill finds much that is not synced.
// - Steps the wall clock by the seconds that are in SHIM_FOLDER/control.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, FILES = 8, DESCRIPTORS = 65536, DIRTY_PAGES = 1 << 22 };

// The run writes it: seconds that the clock is ahead, syncs and writes that fail from now on, milliseconds before each sync.
struct control {
	int64_t clock;
	int32_t failing_syncs, failing_writes, sync_delay, unused;
};

struct file {
	char path[512], copy[512];
	unsigned char *dirty; // one bit a page, in SHIM_FOLDER/NAME.dirty, which a kill leaves as it is
};

static struct control *control;
static struct file files[FILES];
static signed char of_descriptor[DESCRIPTORS]; // place in `files` + 1
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void *shared(const char *path, size_t size) {
	int fd = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || REAL(ftruncate)(fd, (off_t)size) < 0) return NULL;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

__attribute__((constructor)) static void begin(void) {
	const char *folder = getenv("SHIM_FOLDER");
	char path[600];
	if (folder == NULL) return;
	snprintf(path, sizeof path, "%s/control", folder);
	control = shared(path, sizeof *control);
}

static int is_named(const char *path, const char *prefixes) {
	for (const char *prefix = prefixes; *prefix != 0;) {
		size_t length = strcspn(prefix, ":");
		if (length > 0 && strncmp(path, prefix, length) == 0) return 1;
		prefix += length + (prefix[length] == ':');
	}
	return 0;
}

// The place of a file that is watched, or -1.
static int place_of(const char *path) {
	const char *prefixes = getenv("SHIM_FILES"), *folder = getenv("SHIM_FOLDER");
	if (control == NULL || prefixes == NULL || folder == NULL || !is_named(path, prefixes)) return -1;
	pthread_mutex_lock(&lock);
	int place = 0;
	while (place < FILES && files[place].path[0] != 0 && strcmp(files[place].path, path) != 0) place++;
	if (place < FILES && files[place].path[0] == 0) {
		struct file *file = &files[place];
		const char *name = strrchr(path, '/') + 1;
		char dirty[600];
		snprintf(file->copy, sizeof file->copy, "%s/%s", folder, name);
		snprintf(dirty, sizeof dirty, "%s/%s.dirty", folder, name);
		file->dirty = shared(dirty, DIRTY_PAGES / 8);
		snprintf(file->path, sizeof file->path, "%s", path);
	}
	pthread_mutex_unlock(&lock);
	return place < FILES && files[place].dirty != NULL ? place : -1;
}

static struct file *watched(int fd) {
	return fd >= 0 && fd < DESCRIPTORS && of_descriptor[fd] > 0 ? &files[of_descriptor[fd] - 1] : NULL;
}

static void note(struct file *file, off_t from, size_t length) {
	for (off_t page = from / PAGE; page <= (from + (off_t)length - 1) / PAGE && page < DIRTY_PAGES; page++)
		file->dirty[page / 8] |= (unsigned char)(1 << page % 8);
}

// What a disk has after the sync: the dirty pages, and the size.
static void settle(struct file *file, int fd, int reaches_disk) {
	struct stat stat;
	static char page[PAGE];
	if (fstat(fd, &stat) < 0) return;
	pthread_mutex_lock(&lock);
	int copy = reaches_disk ? REAL(open)(file->copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	for (off_t at = 0; at < DIRTY_PAGES / 8; at++) {
		if (at % 8 == 0 && *(uint64_t *)(file->dirty + at) == 0) {
			at += 7;
			continue;
		}
		for (int bit = 0; bit < 8 && copy >= 0; bit++) {
			off_t offset = (at * 8 + bit) * PAGE;
			if (!(file->dirty[at] & 1 << bit)) continue;
			ssize_t count = pread(fd, page, PAGE, offset);
			if (count > 0) REAL(pwrite)(copy, page, (size_t)count, offset);
		}
		file->dirty[at] = 0;
	}
	if (copy >= 0) {
		REAL(ftruncate)(copy, stat.st_size);
		close(copy);
	}
	pthread_mutex_unlock(&lock);
}

static int fails(int32_t *left) {
	return control != NULL && *left > 0 && __atomic_fetch_sub(left, 1, __ATOMIC_SEQ_CST) > 0;
}

static int opened(int fd, const char *path) {
	if (fd >= 0 && fd < DESCRIPTORS) of_descriptor[fd] = (signed char)(place_of(path) + 1);
	return fd;
}

#define MODE(flags) va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list)

int open(const char *path, int flags, ...) {
	MODE(flags);
	return opened(REAL(open)(path, flags, mode), path);
}

int open64(const char *path, int flags, ...) {
	MODE(flags);
	return opened(REAL(open64)(path, flags, mode), path);
}

// A descriptor is given away again, to a socket for one.
int close(int fd) {
	if (fd >= 0 && fd < DESCRIPTORS) of_descriptor[fd] = 0;
	return REAL(close)(fd);
}

int unlink(const char *path) {
	int place = place_of(path);
	if (place >= 0) {
		REAL(unlink)(files[place].copy);
		memset(files[place].dirty, 0, DIRTY_PAGES / 8);
	}
	return REAL(unlink)(path);
}

static int refused(int fd, off_t from, size_t length) {
	struct file *file = watched(fd);
	if (file == NULL) return 0;
	if (fails(&control->failing_writes)) {
		errno = EIO;
		return 1;
	}
	note(file, from, length);
	return 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
	return refused(fd, offset, length) ? -1 : REAL(pwrite)(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
	return refused(fd, offset, length) ? -1 : REAL(pwrite64)(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
	if (watched(fd) == NULL) return REAL(write)(fd, bytes, length);
	return refused(fd, lseek(fd, 0, SEEK_CUR), length) ? -1 : REAL(write)(fd, bytes, length);
}

static int synced(int fd, int (*sync)(int)) {
	struct file *file = watched(fd);
	if (file == NULL) return sync(fd);
	if (control->sync_delay > 0) usleep((useconds_t)control->sync_delay * 1000);
	int failed = fails(&control->failing_syncs);
	if (!failed && sync(fd) < 0) return -1;
	settle(file, fd, !failed);
	if (failed) errno = EIO;
	return failed ? -1 : 0;
}

int fsync(int fd) {
	return synced(fd, REAL(fsync));
}

int fdatasync(int fd) {
	return synced(fd, REAL(fdatasync));
}

int clock_gettime(clockid_t clock, struct timespec *time) {
	static __typeof__(&clock_gettime) real;
	if (real == NULL) real = REAL(clock_gettime);
	int result = real(clock, time);
	if (result == 0 && control != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += control->clock;
	return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
	int result = REAL(gettimeofday)(time, zone);
	if (result == 0 && control != NULL) time->tv_sec += control->clock;
	return result;
}
