"""Errors of the system, and errors of clusterup itself, in words: the last ones to speak where no one else did."""

from __future__ import annotations

import errno
import os
import traceback

from bootstrap.errors import ClusterupError

_HINTS = {
    errno.ENOSPC: "make room there, then run the same command again: it goes on from what is true by then",
    errno.EDQUOT: "make room there, then run the same command again: it goes on from what is true by then",
    errno.EROFS: "make that file system writable, or name another place (XDG_STATE_HOME, XDG_CACHE_HOME)",
    errno.EACCES: "make it yours, or run clusterup as the user whose it is",
    errno.EPERM: "make it yours, or run clusterup as the user whose it is",
    errno.EMFILE: "allow more open files (ulimit -n), or do less at the same time: --parallel",
    errno.ENFILE: "end programs that keep many files open, then run the same command again",
    errno.ENOENT: "look whether the folder is there, and whether something else removes files in it",
    errno.ENOTDIR: "something on the way to it is a file, where a folder should be: move it away",
    errno.EISDIR: "it is a folder, where a file should be: move it away",
}


def as_error(
    error: Exception, *, node: str | None = None, step: str | None = None, tried: str | None = None
) -> ClusterupError:
    """What to say of any failure, wherever it comes from. What has words of its own keeps them; of all else `node`,
    `step` and `tried` say where it was met, and one node's stops no other node."""
    if isinstance(error, ClusterupError):
        return error
    found = error_in_words(error) if isinstance(error, OSError) else own_error(error)
    found.node, found.step, found.tried = node, step, found.tried or tried
    return found


def error_in_words(error: OSError) -> ClusterupError:
    """What went wrong with which file or place. A traceback would say less."""
    reason = error.strerror or str(error) or type(error).__name__
    places = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    hint = _HINTS.get(error.errno or 0, "look into that, then run the same command again")
    if not places:
        return ClusterupError("the machine that clusterup runs on refused it", got=reason, hint=hint)
    return ClusterupError(f"{places[-1]} can't be used", tried="read or write it", got=reason, hint=hint)


def own_error(error: Exception) -> ClusterupError:
    """That clusterup itself is wrong, and where: in its own code, as far as the error came from there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/bootstrap/" in frame.filename] or list(frames)
    where = f" ({own[-1].name}, {own[-1].filename.rpartition('/')[2]}:{own[-1].lineno})" if own else ""
    return ClusterupError(
        "an error in clusterup itself",
        got=f"{type(error).__name__}: {error}{where}",
        hint="run it again; if it stays, report it with these lines. CLUSTERUP_TRACEBACK=1 shows the whole way there",
    )
