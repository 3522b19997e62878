"""Where releases are published, and the mirror inside a closed network that may stand in for all of it.

A place is host and path, as in "dl.k8s.io/v1.36.2/kubernetes-server-linux-amd64.tar.gz". With the environment variable
`CLUSTERUP_MIRROR` it is looked for below the address there, host and all:
`https://mirror.example.org/dl.k8s.io/v1.36.2/...`. Nothing is asked for over plain http.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from bootstrap.errors import BadUse

VARIABLE = "CLUSTERUP_MIRROR"
STEP = "image build"
KUBERNETES = "dl.k8s.io"
GITHUB = "github.com"
GITHUB_API = "api.github.com"
GITHUB_FILES = "raw.githubusercontent.com"


def address_of(place: str) -> str:
    """The address of a place. Raises BadUse where the mirror's is none."""
    mirror = os.environ.get(VARIABLE)
    if not mirror:
        return f"https://{place}"
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise BadUse(
            f"{VARIABLE} is not the address of a mirror",
            step=STEP,
            got=mirror,
            hint="an https address, as in https://mirror.example.org/releases, or unset it",
        )
    return f"{mirror.rstrip('/')}/{place}"
