/* Loaded into the program with LD_PRELOAD: counts the operations that change files below a folder,
 * and at a given one kills the process or lets the operation fail.
 *
 * FAULT_UNDER  the folder, an absolute path
 * FAULT_LOG    a file that gets a line for each operation
 * FAULT_AT     number of the operation, from 1 on
 * FAULT_MODE   "before", "after" or "middle" kills there; "fail" lets it fail with FAULT_ERROR
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { NONE, BEFORE, AFTER, MIDDLE, FAIL };

static const char *under;
static long at = -1;
static int error_number = EIO;
static enum mode mode = NONE;
static int log_file = -1;
static atomic_long operations;

#define REAL(name)                                   \
    static __typeof__(&name) real;                   \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

__attribute__((constructor)) static void begin(void) {
    const char *text;
    under = getenv("FAULT_UNDER");
    if ((text = getenv("FAULT_AT"))) at = atol(text);
    if ((text = getenv("FAULT_ERROR"))) error_number = atoi(text);
    if ((text = getenv("FAULT_MODE"))) {
        mode = !strcmp(text, "before")   ? BEFORE
               : !strcmp(text, "after")  ? AFTER
               : !strcmp(text, "middle") ? MIDDLE
                                         : FAIL;
    }
    if ((text = getenv("FAULT_LOG"))) {
        int (*open_log)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
        log_file = open_log(text, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    }
}

static int is_below(const char *path) {
    return under && !strncmp(path, under, strlen(under));
}

static int path_counts(const char *path) {
    if (path[0] == '/') return is_below(path);
    char whole[8192];
    if (!getcwd(whole, 4096)) return 0;
    strcat(whole, "/");
    strncat(whole, path, 4000);
    return is_below(whole);
}

static int file_counts(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    if (file <= 2 || file == log_file || length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Counts an operation; BEFORE does not return. */
static enum mode count(const char *name, const char *path) {
    long number = atomic_fetch_add(&operations, 1) + 1;
    if (log_file >= 0) {
        static ssize_t (*write_log)(int, const void *, size_t);
        if (!write_log) write_log = dlsym(RTLD_NEXT, "write");
        char line[4200];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, name, path);
        if (write_log(log_file, line, length) < 0) die();
    }
    if (number != at) return NONE;
    if (mode == BEFORE) die();
    return mode;
}

/* An operation that is done whole or not at all. */
#define WHOLE(counts, name, path, call)              \
    if (!(counts)) return call;                      \
    enum mode fault = count(name, path);             \
    if (fault == FAIL) {                             \
        errno = error_number;                        \
        return -1;                                   \
    }                                                \
    int result = call;                               \
    if (fault != NONE) die();                        \
    return result

int rename(const char *from, const char *to) {
    REAL(rename);
    WHOLE(path_counts(from), "rename", to, real(from, to));
}
int unlink(const char *path) {
    REAL(unlink);
    WHOLE(path_counts(path), "unlink", path, real(path));
}
int rmdir(const char *path) {
    REAL(rmdir);
    WHOLE(path_counts(path), "rmdir", path, real(path));
}
int mkdir(const char *path, mode_t permissions) {
    REAL(mkdir);
    WHOLE(path_counts(path), "mkdir", path, real(path, permissions));
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    char whole[4096];
    WHOLE(folder == AT_FDCWD ? path_counts(path) : file_counts(folder, whole), "unlinkat", path,
          real(folder, path, flags));
}
/* A kill of the process loses nothing that was written; so tests need not wait for the disk. */
int fsync(int file) {
    REAL(fsync);
    char path[4096];
    if (!file_counts(file, path)) return real(file);
    WHOLE(1, "fsync", path, 0);
}
int ftruncate64(int file, off64_t length) {
    REAL(ftruncate64);
    char path[4096];
    WHOLE(file_counts(file, path), "ftruncate", path, real(file, length));
}
int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open64");
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = va_arg(arguments, mode_t);
    va_end(arguments);
    int writes = flags & (O_CREAT | O_WRONLY | O_RDWR);
    WHOLE(writes && path_counts(path), "open", path, real(path, flags, permissions));
}

/* An operation that may be half done. */
#define PARTLY(name, half, call)                     \
    char path[4096];                                 \
    if (!file_counts(file, path)) return call;       \
    enum mode fault = count(name, path);             \
    if (fault == FAIL) {                             \
        errno = error_number;                        \
        return -1;                                   \
    }                                                \
    if (fault == MIDDLE) {                           \
        if (half < 0) die();                         \
        die();                                       \
    }                                                \
    ssize_t result = call;                           \
    if (fault == AFTER) die();                       \
    return result

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(write);
    PARTLY("write", real(file, bytes, length / 2), real(file, bytes, length));
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t place) {
    REAL(pwrite64);
    PARTLY("pwrite", real(file, bytes, length / 2, place), real(file, bytes, length, place));
}
ssize_t writev(int file, const struct iovec *parts, int number) {
    REAL(writev);
    PARTLY("writev", real(file, parts, number / 2), real(file, parts, number));
}
ssize_t copy_file_range(int from, off64_t *from_place, int file, off64_t *place, size_t length,
                        unsigned flags) {
    REAL(copy_file_range);
    PARTLY("copy", real(from, from_place, file, place, length / 2, flags),
           real(from, from_place, file, place, length, flags));
}
