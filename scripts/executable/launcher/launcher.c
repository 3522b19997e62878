// The head of the executable: unpacks the tree that stands behind it in the same file, once, and starts it.
//
// The file is this program, a tar in one zstd frame, and a trailer of TRAILER bytes: magic, offset and size of the frame
// in decimal, and the key, a SHA-256 of the tree in hexadecimal, padded with zero bytes. The tree is unpacked into
// $XDG_CACHE_HOME/clusterup/executable/KEY (XDG Base Directory Specification), beside it first, and renamed when it is
// whole: two that start at once don't meet, and what was interrupted is never taken for a tree.
#define _GNU_SOURCE
#include "start.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

#define MAGIC "clusterup executable 1\n"
#define TRAILER 256
#define BLOCK 512
#define KEY 64

struct trailer {
    char magic[32], offset[32], size[32], key[KEY + 1];
};

static char own_path[PATH_SIZE];

static void damaged(const char *got) {
    fail("this executable is damaged", own_path, got, "copy it again, and compare its SHA-256");
}

static int unlink_one(const char *path, const struct stat *what, int kind, struct FTW *where) {
    (void)what, (void)kind, (void)where;
    return remove(path);
}

static void remove_tree(const char *path) { nftw(path, unlink_one, 16, FTW_DEPTH | FTW_PHYS); }

// `making` is the unfinished tree, or NULL where there is none yet: nothing else is ever removed.
static void unpack_failed(const char *making, const char *path) {
    int error = errno;
    if (making != NULL) remove_tree(making);
    fail("clusterup can't unpack itself", path, strerror(error),
         "it takes about 130 MB, once; XDG_CACHE_HOME names another folder for it");
}

static void write_all(int file, const char *from, size_t size, const char *making, const char *path) {
    while (size > 0) {
        ssize_t written = write(file, from, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) unpack_failed(making, path);
        from += written, size -= (size_t)written;
    }
}

// A reader of the tar, which gets its bytes as they are unpacked.
struct unpacking {
    const char *making;
    char block[BLOCK], path[PATH_SIZE];
    size_t held;      // bytes of the block that are there
    uint64_t left;    // bytes of the file that are to come
    size_t padding;   // bytes behind them
    int file;         // -1 where none is written
};

static uint64_t octal(const char *field, size_t width) {
    uint64_t value = 0;
    for (size_t index = 0; index < width && field[index] >= '0' && field[index] <= '7'; index++)
        value = value * 8 + (uint64_t)(field[index] - '0');
    return value;
}

// POSIX.1-2001, "ustar Interchange Format": folders, files and symbolic links are what there is.
static void header(struct unpacking *one) {
    char *field = one->block, name[101] = {0}, prefix[156] = {0}, target[101] = {0}, whole[PATH_SIZE];
    if (field[0] == 0) return;
    if (memcmp(field + 257, "ustar", 5) != 0) damaged("what stands in it is no archive");
    memcpy(name, field, 100), memcpy(prefix, field + 345, 155), memcpy(target, field + 157, 100);
    joined(whole, *prefix ? prefix : ".", name);
    joined(one->path, one->making, whole);
    mode_t mode = (mode_t)(octal(field + 100, 8) & 0755);
    uint64_t size = octal(field + 124, 12);
    if (field[156] == '5') {
        if (mkdir(one->path, mode) != 0 && errno != EEXIST) unpack_failed(one->making, one->path);
    } else if (field[156] == '2') {
        if (symlink(target, one->path) != 0) unpack_failed(one->making, one->path);
    } else {
        one->file = open(one->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (one->file < 0) unpack_failed(one->making, one->path);
        one->left = size;
        one->padding = (size_t)((BLOCK - size % BLOCK) % BLOCK);
        if (size == 0) close(one->file), one->file = -1;
    }
}

static void feed(struct unpacking *one, const char *from, size_t size) {
    while (size > 0) {
        size_t take = size;
        if (one->left > 0) {
            if (take > one->left) take = (size_t)one->left;
            write_all(one->file, from, take, one->making, one->path);
            one->left -= take;
            if (one->left == 0) {
                if (close(one->file) != 0) unpack_failed(one->making, one->path);
                one->file = -1;
            }
        } else if (one->padding > 0) {
            if (take > one->padding) take = one->padding;
            one->padding -= take;
        } else {
            if (take > BLOCK - one->held) take = BLOCK - one->held;
            memcpy(one->block + one->held, from, take);
            one->held += take;
            if (one->held == BLOCK) one->held = 0, header(one);
        }
        from += take, size -= take;
    }
}

static void unpack(int own, uint64_t offset, uint64_t size, const char *making) {
    struct unpacking one = {.making = making, .file = -1};
    size_t in_size = ZSTD_DStreamInSize(), out_size = ZSTD_DStreamOutSize();
    char *in = malloc(in_size), *out = malloc(out_size);
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (in == NULL || out == NULL || stream == NULL) errno = ENOMEM, unpack_failed(making, making);
    size_t state = 1;
    while (size > 0) {
        ssize_t got = pread(own, in, size < in_size ? (size_t)size : in_size, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) remove_tree(making), damaged(got < 0 ? strerror(errno) : "it is shorter than it was");
        offset += (uint64_t)got, size -= (uint64_t)got;
        ZSTD_inBuffer from = {in, (size_t)got, 0};
        while (from.pos < from.size) {
            ZSTD_outBuffer to = {out, out_size, 0};
            state = ZSTD_decompressStream(stream, &to, &from);
            if (ZSTD_isError(state)) remove_tree(making), damaged(ZSTD_getErrorName(state));
            feed(&one, out, to.pos);
        }
    }
    // The frame has a checksum, and is at its end when there is nothing left to do.
    if (state != 0 || one.left > 0) remove_tree(making), damaged("what stands in it is cut off");
    ZSTD_freeDStream(stream);
    free(in), free(out);
}

// HOME, where it is ours: with sudo it may be that of whoever typed.
static const char *home(void) {
    const char *said = getenv("HOME");
    struct stat found;
    if (said != NULL && *said == '/' && (stat(said, &found) != 0 || found.st_uid == geteuid())) return said;
    FILE *users = fopen("/etc/passwd", "re");
    struct passwd *user;
    while (users != NULL && (user = fgetpwent(users)) != NULL)
        if (user->pw_uid == geteuid() && user->pw_dir[0] == '/') return user->pw_dir;
    if (said != NULL && *said == '/') return said;
    fail("there is no place to unpack clusterup to", own_path, "neither XDG_CACHE_HOME nor HOME names a folder",
         "set XDG_CACHE_HOME to a folder of yours");
    return NULL;
}

static void make_folders(char *path) {
    for (char *end = path + 1; *end; end++)
        if (*end == '/') {
            *end = 0;
            if (mkdir(path, 0700) != 0 && errno != EEXIST && access(path, F_OK) != 0) unpack_failed(NULL, path);
            *end = '/';
        }
    if (mkdir(path, 0700) != 0 && errno != EEXIST && access(path, F_OK) != 0) unpack_failed(NULL, path);
}

static int others_may_change(const struct stat *found) {
    if (found->st_uid != geteuid() && found->st_uid != 0) return 1;
    // Who may write to a sticky folder, as /tmp is one, can't rename or remove what is somebody else's.
    if (found->st_mode & S_ISVTX) return 0;
    return (found->st_mode & S_IWOTH) || ((found->st_mode & S_IWGRP) && found->st_gid != getegid());
}

// Others must not be able to put something of theirs in its place, nor in that of a folder on the way.
static void must_be_ours(const char *path) {
    static char part[PATH_SIZE];
    struct stat found;
    joined(part, path, "");
    for (char *end = part + strlen(part); end != NULL; end = strrchr(part, '/')) {
        *end = 0;
        if (stat(*part ? part : "/", &found) != 0) fail("clusterup can't find its own files", part, strerror(errno), NULL);
        if (!S_ISDIR(found.st_mode) || others_may_change(&found))
            fail("clusterup's unpacked files can be changed by others", *part ? part : "/", NULL,
                 "set XDG_CACHE_HOME to a folder of yours");
    }
}

// What was left by one that was killed while it unpacked, an hour ago or longer.
static void remove_leftovers(const char *folder) {
    static char path[PATH_SIZE];
    struct stat found;
    struct dirent *entry;
    DIR *open = opendir(folder);
    while (open != NULL && (entry = readdir(open)) != NULL) {
        if (entry->d_name[0] != '.' || strlen(entry->d_name) < sizeof ".KEY.XXXXXX") continue;
        joined(path, folder, entry->d_name);
        if (lstat(path, &found) == 0 && S_ISDIR(found.st_mode) && found.st_mtime < time(NULL) - 3600) remove_tree(path);
    }
    if (open != NULL) closedir(open);
}

int main(int argc, char **argv) {
    (void)argc;
    static char folder[PATH_SIZE], tree[PATH_SIZE], making[PATH_SIZE], python[PATH_SIZE], script[PATH_SIZE];
    struct trailer end;
    find_self(own_path);
    int own = open(own_path, O_RDONLY | O_CLOEXEC);
    if (own < 0) fail("clusterup can't read itself", own_path, strerror(errno), NULL);
    off_t whole = lseek(own, 0, SEEK_END);
    if (whole < TRAILER || pread(own, &end, sizeof end, whole - TRAILER) != sizeof end ||
        memcmp(end.magic, MAGIC, sizeof MAGIC) != 0 || strnlen(end.key, KEY + 1) != KEY)
        damaged("its end is missing");

    const char *cache = getenv("XDG_CACHE_HOME");
    if (cache != NULL && *cache == '/') joined(folder, cache, "clusterup/executable");
    else joined(folder, home(), ".cache/clusterup/executable");
    joined(tree, folder, end.key);
    if (access(tree, F_OK) != 0) {
        sigset_t later, before;
        make_folders(folder);
        must_be_ours(folder);
        remove_leftovers(folder);
        // Ctrl-C comes when nothing is half there.
        sigemptyset(&later), sigaddset(&later, SIGINT), sigaddset(&later, SIGTERM), sigaddset(&later, SIGHUP);
        sigprocmask(SIG_BLOCK, &later, &before);
        if (snprintf(making, sizeof making, "%s/.%.16s.XXXXXX", folder, end.key) >= (int)sizeof making || mkdtemp(making) == NULL)
            unpack_failed(NULL, folder);
        unpack(own, strtoull(end.offset, NULL, 10), strtoull(end.size, NULL, 10), making);
        // A name promises the content, also when the power goes now.
        int synced = open(making, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (synced < 0 || syncfs(synced) != 0) unpack_failed(making, making);
        close(synced);
        if (rename(making, tree) != 0) {
            int error = errno;
            // Another one was quicker.
            remove_tree(making);
            if (access(tree, F_OK) != 0) errno = error, unpack_failed(NULL, tree);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    must_be_ours(tree);
    setenv("CLUSTERUP_EXECUTABLE", own_path, 1);
    joined(python, tree, "bin/python3.13");
    joined(script, tree, "main.py");
    char *before[] = {"-I", "-S", "-B", script, NULL};
    start(tree, "bin/python3.13", python, before, argv);
}
