"""Questions to an API server, over TLS that is verified, by whoever the headers or the context show."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any

from trust import Server

MERGE = "application/merge-patch+json"


class Api:
    """An API server, asked with these headers over TLS that `context` verifies."""

    def __init__(self, server: Server, context: ssl.SSLContext, headers: dict[str, str]) -> None:
        self._server, self._context, self._headers = server, context, headers

    def get(self, path: str) -> tuple[int, Any]:
        """Status and what it says. Raises OSError, HTTPException or ValueError."""
        return self._call("GET", path, None, {})

    def ready(self) -> bool:
        """Whether the API server says that it is ready. Raises OSError or HTTPException."""
        return self._answer("GET", "/readyz", None, {})[0] == 200

    def send(self, method: str, path: str, body: object, kind: str = "application/json") -> tuple[int, Any]:
        """As `get`, with a body of JSON."""
        return self._call(method, path, json.dumps(body).encode(), {"Content-Type": kind})

    def _call(self, method: str, path: str, content: bytes | None, more: Mapping[str, str]) -> tuple[int, Any]:
        status, text = self._answer(method, path, content, more)
        return status, json.loads(text)

    def _answer(self, method: str, path: str, content: bytes | None, more: Mapping[str, str]) -> tuple[int, bytes]:
        server = self._server
        connection = http.client.HTTPSConnection(server.host, server.port, timeout=15, context=self._context)
        try:
            headers = {**self._headers, "Accept": "application/json", **more}
            connection.request(method, path, body=content, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
