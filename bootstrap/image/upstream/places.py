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
OLD_VARIABLE = "CLUSTERUP_KUBERNETES_URL"
STEP = "image build"
KUBERNETES = "dl.k8s.io"
GITHUB = "github.com"
GITHUB_API = "api.github.com"
GITHUB_FILES = "raw.githubusercontent.com"


def own_address(place: str) -> str:
    """The address of a place, whether there is a mirror or not."""
    return f"https://{place}"


def address_of(place: str) -> str:
    """The address of a place, or of what stands in for it. Raises BadUse where the mirror's is none."""
    if os.environ.get(OLD_VARIABLE):
        raise BadUse(
            f"{OLD_VARIABLE} is not read any more",
            step=STEP,
            hint=f"{VARIABLE} takes its place: an address that has host names as folders (docs/kubernetes.md)",
        )
    mirror = os.environ.get(VARIABLE)
    if not mirror:
        return own_address(place)
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
        usable = usable and (parts.port is None or parts.port > 0)
        # What stands in an address is shown.
        usable = usable and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise BadUse(
            f"{VARIABLE} is not the address of a mirror",
            step=STEP,
            got=mirror.rpartition("@")[2],
            hint="an https address without user and password, as in https://mirror.example.org/releases, or unset it",
        )
    return f"{mirror.rstrip('/')}/{place}"
