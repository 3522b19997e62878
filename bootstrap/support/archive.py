"""The one file of a report: text files in a compressed tar."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from bootstrap.support.secrets import Scrubber

README = """\
What clusterup collected for whoever looks for a fault in cluster {cluster}. Text files alone.

Taken out: the keys and tokens of this cluster that are kept where it was made, and what looks like a secret
([removed: ...]). Not asked for: Secrets, ConfigMaps, and the environment and arguments of pods. What is in it: names
and addresses of machines, of images and of pods, and what services wrote into their logs. Look through it before it is
given away.
"""


def support_archive(cluster: str, top: str, files: Iterable[tuple[str, str]], scrubber: Scrubber) -> bytes:
    """The tar of all files below the folder `top`, without secrets, packed by gzip."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, text in (("README.txt", README.format(cluster=cluster)), *files):
            data = scrubber.cleaned(text).encode(errors="backslashreplace")
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue()
