// A program of the tree under its own name: a symbolic link to this one says which.
#include "start.h"

#include <libgen.h>

int main(int argc, char **argv) {
    static char tree[PATH_SIZE], program[PATH_SIZE], conversions[PATH_SIZE];
    char *none[] = {NULL};
    if (argc < 1) fail("this program was started without its name", "", NULL, NULL);
    find_self(tree);
    // TREE/tools/tool
    for (int up = 0; up < 2; up++) *strrchr(tree, '/') = 0;
    // mtools converts names of files. None of these programs starts another one that could meet it.
    joined(conversions, tree, "lib/gconv");
    setenv("GCONV_PATH", conversions, 1);
    if (snprintf(program, sizeof program, "bin/%s", basename(argv[0])) >= (int)sizeof program)
        fail("this name is too long", argv[0], NULL, NULL);
    start(tree, program, argv[0], none, argv);
}
