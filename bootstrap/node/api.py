"""A small client of the API server beside it: one connection that is kept, verified TLS, a client certificate."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bootstrap.outside import parsed_json
from bootstrap.protocol.exchange import answer_to, connection_to

MERGE = "application/merge-patch+json"


class Refusal(Exception):
    """The API server did not do it. `status` is HTTP's: 403 forbidden, 404 not there, 409 changed meanwhile."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"the API server says {status}: {said}")
        self.status = status


class Api:
    """`settings` name the `server` (a URL) and files: `ca`, `certificate` and `key`, all PEM."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._connection: http.client.HTTPSConnection | None = None

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """What the API server answers. Raises Refusal, OSError or HTTPException, also when a kept connection was
        closed from the other end; the next call opens another."""
        if self._connection is None:
            self._connection = self._open()
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {})}
        try:
            content = None if body is None else json.dumps(body).encode()
            answer = answer_to(self._connection, method, path, content, headers)
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if not 200 <= answer.status < 300:
            raise Refusal(answer.status, _message(answer.body))
        return parsed_json(answer.body)

    def find(self, path: str) -> Any:
        """As a GET by `call`, and None where there is none."""
        try:
            return self.call("GET", path)
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPSConnection:
        server = urlsplit(self._settings["server"])
        context = ssl.create_default_context(cafile=self._settings["ca"])
        context.load_cert_chain(self._settings["certificate"], self._settings["key"])
        return connection_to(server.hostname or "", server.port, context)


def _message(text: bytes) -> str:
    try:
        return str(parsed_json(text)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return text[:200].decode(errors="replace")
