"""A small client of QEMU's machine protocol (QMP)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bootstrap.errors import ClusterupError
from bootstrap.transport.serial.line.sockets import connect_unix


class Qmp:
    """A session with a QEMU. Every method raises OSError when the connection fails or times out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._next()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns for a command. Raises ClusterupError with its words when it refuses."""
        request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._next()
            if "return" in answer:
                return answer["return"]
            # Anything else is an event that happened meanwhile.
            if "error" in answer:
                raise ClusterupError(
                    f"QEMU refused {command}",
                    step="lab",
                    got=str(answer["error"].get("desc", answer["error"])),
                    hint="look at the machine's qemu.log; clusterup lab status says where the lab is",
                )

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("QEMU closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the session."""
        self._lines.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@contextmanager
def qmp(path: Path, timeout: float = 20.0) -> Iterator[Qmp]:
    """A session with the QEMU that listens at `path`; `timeout` in seconds for each answer. Raises OSError."""
    connection = connect_unix(path, timeout)
    try:
        session = Qmp(connection)
    except BaseException:
        connection.close()
        raise
    with session:
        yield session
