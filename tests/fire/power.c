/*
 * A disk that can lose its power: preloaded into every process of a shop (LD_PRELOAD), it writes down what
 * each change to a file below POWER_WATCH replaced, and each fsync that came back. tests/fire/power.py reads
 * this journal after a cut and takes back what was never synced.
 *
 * One journal for all processes (POWER_JOURNAL), so that there is one order of events. A robust mutex in its
 * first page is held over "note what is there, then change it", and the power goes off under the same mutex:
 * from then on nobody changes or syncs anything, and everybody waits to be killed.
 *
 * Seen: write pwrite writev ftruncate, open and fopen where they create or empty a file, rename link unlink,
 * fsync fdatasync of files and directories. Not seen: what stdio writes (power.py goes by the size at the last
 * fsync), memory maps (SQLite's -shm only, and that is rubbish after a cut), mkdir (counts as done).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files are counted in 64 bits");

enum { WRITE = 1, RESIZE, SYNC, SYNC_FOLDER, CREATE, RENAME, LINK, UNLINK };
enum { FIRST_RECORD = 4096 };

struct head {
    uint64_t end, records, off_at; /* off_at: the power goes off by itself after so many records; 0: never. */
    uint32_t off, broken;
    pthread_mutex_t lock;
};

struct record {
    uint32_t kind, kept; /* kept: the number of the hard link to a file that lost its name */
    uint64_t inode, a, b, old_size;
    uint32_t first, second; /* bytes that follow: what was there before, or one or two paths */
};

static struct head *head;
static int journal = -1;
static char watched[PATH_MAX], kept[PATH_MAX];
static size_t watched_length;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int), (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...), (*real_openat)(int, const char *, int, ...);
static FILE *(*real_fopen)(const char *, const char *);
static int (*real_rename)(const char *, const char *), (*real_unlink)(const char *);
static int (*real_link)(const char *, const char *), (*real_unlinkat)(int, const char *, int);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_linkat)(int, const char *, int, const char *, int);

#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static void find_all(void) {
    FIND(write), FIND(pwrite), FIND(writev), FIND(ftruncate), FIND(fsync), FIND(fdatasync), FIND(open), FIND(openat);
    FIND(fopen), FIND(rename), FIND(renameat), FIND(unlink), FIND(unlinkat), FIND(link), FIND(linkat);
}

/* ---------------------------------------------------------------- the journal */

static struct head *map(void) {
    void *at = mmap(NULL, FIRST_RECORD, PROT_READ | PROT_WRITE, MAP_SHARED, journal, 0);
    return at == MAP_FAILED ? NULL : at;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_JOURNAL"), *below = getenv("POWER_WATCH");
    find_all();
    if (!path || !below || strlen(path) + 32 > PATH_MAX || strlen(below) + 2 > PATH_MAX) return;
    watched_length = (size_t)sprintf(watched, "%s/", below);
    sprintf(kept, "%s.kept/", path);
    journal = real_open(path, O_RDWR | O_CLOEXEC);
    if (journal < 0 || !(head = map())) {
        fprintf(stderr, "power: cannot use %s: %s\n", path, strerror(errno));
        abort(); /* An unwatched process would make every result worthless. */
    }
}

/* Called by power.py, not preloaded: make an empty journal. */
int power_prepare(const char *path) {
    pthread_mutexattr_t kind;
    journal = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (journal < 0 || ftruncate(journal, FIRST_RECORD) || !(head = map())) return errno;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&head->lock, &kind);
    head->end = FIRST_RECORD;
    munmap(head, FIRST_RECORD);
    close(journal);
    journal = -1, head = NULL;
    return 0;
}

static void take(void) {
    if (pthread_mutex_lock(&head->lock) == EOWNERDEAD) pthread_mutex_consistent(&head->lock);
}

static void give(void) { pthread_mutex_unlock(&head->lock); }

/* Called by power.py: off now (after == 0), or after so many more records. */
int power_off(const char *path, uint64_t after) {
    journal = open(path, O_RDWR);
    if (journal < 0 || !(head = map())) return errno;
    take();
    if (after) head->off_at = head->records + after;
    else head->off = 1;
    give();
    munmap(head, FIRST_RECORD);
    close(journal);
    journal = -1, head = NULL;
    return 0;
}

/* Called by power.py: whether nobody is in the midst of a change for so long as a tenth of a second. */
int power_is_free(const char *path) {
    struct timespec until;
    int error;
    journal = open(path, O_RDWR);
    if (journal < 0 || !(head = map())) return errno;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    if (until.tv_nsec >= 1000 * 1000 * 1000) until.tv_sec++, until.tv_nsec -= 1000 * 1000 * 1000;
    error = pthread_mutex_timedlock(&head->lock, &until);
    if (error == EOWNERDEAD) error = pthread_mutex_consistent(&head->lock);
    if (!error) give();
    munmap(head, FIRST_RECORD);
    close(journal);
    journal = -1, head = NULL;
    return error;
}

/* Under the mutex, from here on; whoever comes after the power went off never comes back. */
static void take_power(void) {
    take();
    if (head->off_at && head->records >= head->off_at) head->off = 1;
    if (head->off) {
        give();
        for (;;) pause();
    }
}

static int put(struct record *entry, const void *first, const void *second) {
    struct iovec parts[] = {
        {entry, sizeof *entry}, {(void *)first, entry->first}, {(void *)second, entry->second}};
    ssize_t length = (ssize_t)(sizeof *entry + entry->first + entry->second);
    if (pwritev(journal, parts, 3, (off_t)head->end) != length) {
        head->broken = 1; /* A full disk, say: power.py refuses to go on. */
        return -1;
    }
    head->end += (uint64_t)length;
    head->records++;
    return 0;
}

static void put_paths(struct record entry, const char *first, const char *second) {
    entry.first = (uint32_t)strlen(first);
    entry.second = second ? (uint32_t)strlen(second) : 0;
    put(&entry, first, second);
}

/* ---------------------------------------------------------------- what is watched */

static int is_watched(const char *path) {
    size_t length = strlen(path);
    if (strncmp(path, watched, watched_length) || !strncmp(path + watched_length, "log/", 4)) return 0;
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    ssize_t length;
    sprintf(link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return -1;
    path[length] = 0;
    return 0;
}

/* The absolute path of a name below a folder's descriptor; -1 when it is not watched. */
static int absolute(int folder, const char *name, char *path) {
    size_t length;
    if (!head || !name) return -1;
    if (name[0] == '/') {
        if (strlen(name) >= PATH_MAX) return -1;
        strcpy(path, name);
    } else {
        if (folder == AT_FDCWD ? !getcwd(path, PATH_MAX) : path_of(folder, path)) return -1;
        if (!strncmp(name, "./", 2)) name += 2;
        length = strlen(path);
        if (length + strlen(name) + 2 > PATH_MAX) return -1;
        path[length] = '/';
        strcpy(path + length + 1, name);
    }
    return is_watched(path) ? 0 : -1;
}

static int watched_file(int fd, struct stat *about) {
    char path[PATH_MAX];
    return head && !fstat(fd, about) && S_ISREG(about->st_mode) && !path_of(fd, path) && is_watched(path);
}

/* What is in a file that may be open for writing only. */
static char *content(int fd, off_t from, size_t length) {
    char path[64], *bytes = malloc(length ? length : 1);
    int reader;
    ssize_t got = 0;
    size_t all = 0;
    sprintf(path, "/proc/self/fd/%d", fd);
    reader = real_open(path, O_RDONLY | O_CLOEXEC);
    while (bytes && all < length && (got = pread(reader, bytes + all, length - all, from + (off_t)all)) > 0)
        all += (size_t)got;
    if (reader >= 0) close(reader);
    if (bytes && all == length) return bytes;
    head->broken = 1;
    free(bytes);
    return NULL;
}

/* ---------------------------------------------------------------- changes to a file's bytes */

static void note_write(int fd, const struct stat *about, off_t at, size_t length) {
    struct record entry = {.kind = WRITE, .inode = about->st_ino, .a = (uint64_t)at, .b = length};
    struct stat now;
    char *before = NULL;
    if (fstat(fd, &now)) return;
    entry.old_size = (uint64_t)now.st_size;
    if (at < now.st_size) {
        size_t over = (size_t)(now.st_size - at);
        entry.first = (uint32_t)(over < length ? over : length);
        if (!(before = content(fd, at, entry.first))) return;
    }
    put(&entry, before, NULL);
    free(before);
}

static off_t place(int fd) {
    struct stat now;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &now) ? 0 : now.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct stat about;
    ssize_t done;
    int saved;
    if (!real_write) find_all();
    if (!watched_file(fd, &about)) return real_write(fd, bytes, length);
    take_power();
    note_write(fd, &about, place(fd), length);
    done = real_write(fd, bytes, length);
    saved = errno;
    give();
    errno = saved;
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat about;
    ssize_t done;
    size_t length = 0;
    int saved;
    if (!watched_file(fd, &about)) return real_writev(fd, parts, count);
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    take_power();
    note_write(fd, &about, place(fd), length);
    done = real_writev(fd, parts, count);
    saved = errno;
    give();
    errno = saved;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    struct stat about;
    ssize_t done;
    int saved;
    if (!watched_file(fd, &about)) return real_pwrite(fd, bytes, length, at);
    take_power();
    note_write(fd, &about, at, length);
    done = real_pwrite(fd, bytes, length, at);
    saved = errno;
    give();
    errno = saved;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return pwrite(fd, bytes, length, at); }

static void note_resize(int fd, off_t size) {
    struct stat now;
    struct record entry = {.kind = RESIZE, .a = (uint64_t)size};
    char *tail = NULL;
    if (fstat(fd, &now)) return;
    entry.inode = now.st_ino;
    entry.old_size = (uint64_t)now.st_size;
    if (size < now.st_size) {
        entry.first = (uint32_t)(now.st_size - size);
        if (!(tail = content(fd, size, entry.first))) return;
    }
    put(&entry, tail, NULL);
    free(tail);
}

int ftruncate(int fd, off_t size) {
    struct stat about;
    int done, saved;
    if (!watched_file(fd, &about)) return real_ftruncate(fd, size);
    take_power();
    note_resize(fd, size);
    done = real_ftruncate(fd, size);
    saved = errno;
    give();
    errno = saved;
    return done;
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

/* ---------------------------------------------------------------- fsync */

static int synced(int fd, int (*sync)(int)) {
    struct stat about;
    struct record entry = {.kind = SYNC};
    char path[PATH_MAX];
    int done, folder;
    if (!head || fstat(fd, &about) || !(S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)) || path_of(fd, path))
        return sync(fd);
    folder = S_ISDIR(about.st_mode);
    if (!is_watched(path) && !(folder && !strncmp(path, watched, watched_length - 1))) return sync(fd);
    take_power();
    /* What others write while the disk is busy may or may not be on it: it does not count. */
    entry.a = head->end;
    if (!fstat(fd, &about)) entry.b = (uint64_t)about.st_size;
    entry.inode = about.st_ino;
    give();
    done = sync(fd);
    if (done) return done;
    take_power();
    if (folder) entry.kind = SYNC_FOLDER;
    put_paths(entry, path, NULL);
    give();
    return 0;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

/* ---------------------------------------------------------------- changes to folders */

/* Before a file is opened so: what emptying it destroys; returns whether it is made by opening it. */
static int before_opening(const char *path, int empties) {
    struct stat about;
    int fd;
    if (stat(path, &about)) return 1;
    if (empties && S_ISREG(about.st_mode) && (fd = real_open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        note_resize(fd, 0);
        close(fd);
    }
    return 0;
}

static void note_created(const char *path) {
    struct stat about;
    if (stat(path, &about) || !S_ISREG(about.st_mode)) return;
    put_paths((struct record){.kind = CREATE, .inode = about.st_ino}, path, NULL);
}

int openat(int folder, const char *name, int flags, ...) {
    char path[PATH_MAX];
    mode_t mode = 0;
    int fd, is_new, saved;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    if (!real_openat) find_all();
    if (!(flags & (O_CREAT | O_TRUNC)) || absolute(folder, name, path)) return real_openat(folder, name, flags, mode);
    take_power();
    is_new = before_opening(path, flags & O_TRUNC);
    fd = real_openat(folder, name, flags, mode);
    saved = errno;
    if (fd >= 0 && is_new) note_created(path);
    give();
    errno = saved;
    return fd;
}

#define WITH_MODE(call)                                        \
    mode_t mode = 0;                                           \
    if (flags & (O_CREAT | __O_TMPFILE)) {                     \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                          \
    }                                                          \
    return call

int open(const char *name, int flags, ...) { WITH_MODE(openat(AT_FDCWD, name, flags, mode)); }
int open64(const char *name, int flags, ...) { WITH_MODE(openat(AT_FDCWD, name, flags, mode)); }
int openat64(int folder, const char *name, int flags, ...) { WITH_MODE(openat(folder, name, flags, mode)); }

FILE *fopen(const char *name, const char *mode) {
    char path[PATH_MAX];
    FILE *file;
    int is_new, saved;
    if (!real_fopen) find_all();
    if (mode[0] == 'r' || absolute(AT_FDCWD, name, path)) return real_fopen(name, mode);
    take_power();
    is_new = before_opening(path, mode[0] == 'w');
    file = real_fopen(name, mode);
    saved = errno;
    if (file && is_new) note_created(path);
    give();
    errno = saved;
    return file;
}

FILE *fopen64(const char *name, const char *mode) { return fopen(name, mode); }

/* A second name for a file that is about to lose its own, so that it can have it back. */
static uint32_t keep(const char *path) {
    char name[PATH_MAX + 32];
    uint32_t number = (uint32_t)head->records + 1;
    sprintf(name, "%s%u", kept, number);
    return real_link(path, name) ? 0 : number;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char old[PATH_MAX], new[PATH_MAX];
    struct record entry = {.kind = RENAME};
    int done, saved;
    if (absolute(from_folder, from, old) || absolute(to_folder, to, new))
        return real_renameat(from_folder, from, to_folder, to);
    take_power();
    entry.kept = keep(new);
    done = real_renameat(from_folder, from, to_folder, to);
    saved = errno;
    if (!done) put_paths(entry, old, new);
    give();
    errno = saved;
    return done;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char old[PATH_MAX], new[PATH_MAX];
    int done, saved;
    if (absolute(from_folder, from, old) || absolute(to_folder, to, new))
        return real_linkat(from_folder, from, to_folder, to, flags);
    take_power();
    done = real_linkat(from_folder, from, to_folder, to, flags);
    saved = errno;
    if (!done) put_paths((struct record){.kind = LINK}, old, new);
    give();
    errno = saved;
    return done;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    struct record entry = {.kind = UNLINK};
    struct stat about;
    int done, saved;
    if ((flags & AT_REMOVEDIR) || absolute(folder, name, path) || lstat(path, &about) || !S_ISREG(about.st_mode))
        return real_unlinkat(folder, name, flags);
    take_power();
    entry.kept = keep(path);
    done = real_unlinkat(folder, name, flags);
    saved = errno;
    if (!done) put_paths(entry, path, NULL);
    give();
    errno = saved;
    return done;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
