"""Where a cluster's API servers listen."""

from __future__ import annotations

API_PORT = 6443
