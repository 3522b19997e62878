"""How an API server fails, or refuses."""

from __future__ import annotations

from bootstrap.errors import ClusterupError


class KubeError(ClusterupError):
    """The API server can't be reached or refused what was asked."""


class KubeRefused(KubeError):
    """The API server does not take what it was asked, however often; or it is none that may be believed."""

    final = True


class KubeUnauthorized(KubeRefused):
    """The API server does not know (any more) who asks."""


class KubeForbidden(KubeRefused):
    """Who asks may not do that."""


class KubeMissing(KubeRefused):
    """What it would go into is not there: a namespace, or the kind itself."""


class KubeFailed(KubeError):
    """The API server, or what it asks about such objects, failed at it: that may pass."""


class KubeConflict(KubeError):
    """The object is not the one any more that the change was made for."""


class KubeSlow(KubeError):
    """No answer came in the time that it may take."""


class KubeBusy(KubeError):
    """The server would do it, and not now: a budget holds an eviction up, or it is asked too much (429)."""
