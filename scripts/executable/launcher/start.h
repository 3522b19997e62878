// Starts a program of the tree with the tree's own C library, so that the machine's does not matter.
//
// A tree has lib/ld.so (the dynamic loader), lib/*.so and the programs. The loader is given the program as an argument;
// what the program starts itself gets none of this, for nothing of it is in the environment. See ld.so(8).
#ifndef CLUSTERUP_START_H
#define CLUSTERUP_START_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define PATH_SIZE 4096

static void fail(const char *what, const char *path, const char *got, const char *hint) {
    fprintf(stderr, "error: %s: %s\n", what, path);
    if (got != NULL) fprintf(stderr, "  got: %s\n", got);
    if (hint != NULL) fprintf(stderr, "  hint: %s\n", hint);
    exit(1);
}

static void joined(char *into, const char *folder, const char *name) {
    if (snprintf(into, PATH_SIZE, "%s%s%s", folder, *name ? "/" : "", name) >= PATH_SIZE)
        fail("this path is too long", folder, NULL, "set XDG_CACHE_HOME to a folder with a shorter name");
}

// The path of this very file. Where nothing is mounted on /proc, it is as it was called.
static void find_self(char *into) {
    ssize_t length = readlink("/proc/self/exe", into, PATH_SIZE - 1);
    const char *called = (const char *)getauxval(AT_EXECFN);
    if (length > 0) into[length] = 0;
    else if (called == NULL || realpath(called, into) == NULL) fail("clusterup can't find itself", "/proc/self/exe", strerror(errno), "mount /proc");
}

// Becomes `program` of `tree`, called `called`, with `before` and then the arguments of `argv` after the first one.
static void start(const char *tree, const char *program, const char *called, char *const *before, char *const *argv) {
    static char loader[PATH_SIZE], library[PATH_SIZE], path[PATH_SIZE];
    size_t count = 0, first = 0;
    joined(loader, tree, "lib/ld.so");
    joined(library, tree, "lib");
    joined(path, tree, program);
    while (before[first] != NULL) first++;
    while (argv[count] != NULL) count++;
    char **all = calloc(count + first + 8, sizeof *all);
    if (all == NULL) fail("there is no memory to start", path, NULL, NULL);
    char **next = all;
    *next++ = (char *)called;
    *next++ = "--inhibit-cache";
    *next++ = "--library-path";
    *next++ = library;
    *next++ = "--argv0";
    *next++ = (char *)(*called ? called : path);
    *next++ = path;
    for (; *before != NULL; before++) *next++ = *before;
    for (argv = count ? argv + 1 : argv; *argv != NULL; argv++) *next++ = *argv;
    execv(loader, all);
    fail("this program can't be started", path, strerror(errno),
         errno == EACCES ? "a file system that is mounted with noexec can't hold it: set XDG_CACHE_HOME to a folder elsewhere"
                         : "remove its folder, and it is unpacked again");
}

#endif
