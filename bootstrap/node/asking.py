"""Questions to an API server, over TLS that is verified, by whoever the headers or the context show."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

from bootstrap.outside import parsed_json
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.exchange import WHOLE_SECONDS, Answer, answer_to, connection_to

MERGE = "application/merge-patch+json"


class Api:
    """An API server, asked with these headers over TLS that `context` verifies. An answer that is not whole after
    `seconds` is none."""

    def __init__(
        self, server: ServerUrl, context: ssl.SSLContext, headers: dict[str, str], seconds: float = WHOLE_SECONDS
    ) -> None:
        self._server, self._context, self._headers, self._seconds = server, context, headers, seconds

    def get(self, path: str) -> tuple[int, Any]:
        """Status and what it says. Raises OSError, HTTPException or ValueError."""
        return self._call("GET", path, None, {})

    def ready(self) -> bool:
        """Whether the API server says that it is ready. Raises OSError or HTTPException."""
        return self._answer("GET", "/readyz", None, {}).status == 200

    def send(self, method: str, path: str, body: object, kind: str = "application/json") -> tuple[int, Any]:
        """As `get`, with a body of JSON."""
        return self._call(method, path, json.dumps(body).encode(), {"Content-Type": kind})

    def _call(self, method: str, path: str, content: bytes | None, more: Mapping[str, str]) -> tuple[int, Any]:
        answer = self._answer(method, path, content, more)
        found = parsed_json(answer.body)
        if not isinstance(found, dict):
            raise ValueError(f"status {answer.status}, and no JSON object")
        return answer.status, found

    def _answer(self, method: str, path: str, content: bytes | None, more: Mapping[str, str]) -> Answer:
        connection = connection_to(self._server.host, self._server.port, self._context)
        try:
            headers = {**self._headers, "Accept": "application/json", **more}
            return answer_to(connection, method, path, content, headers, seconds=self._seconds)
        finally:
            connection.close()
