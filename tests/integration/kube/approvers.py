"""The approver, as a server's unit runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bootstrap.constants.objects import APPROVER_USER
from bootstrap.pki.x509 import Usage, issue
from tests.helpers.daemons import daemon
from tests.helpers.node_agent import agent
from tests.integration.kube.servers import ApiServer


def url_of(api_server: ApiServer) -> str:
    """Where the API server is reached."""
    return f"https://127.0.0.1:{api_server.port}"


@contextmanager
def running_approvers(api_server: ApiServer, folder: Path, count: int = 1) -> Iterator[None]:
    """So many approvers, which write to `folder`/approver-NUMBER.log."""
    own = issue(api_server.pki.ca, common_name=APPROVER_USER, usage=Usage.CLIENT)
    (folder / "approver.crt").write_bytes(own.cert_pem)
    (folder / "approver.key").write_bytes(own.key_pem)
    settings = {
        "server": url_of(api_server),
        "ca": str(api_server.pki_folder / "ca.crt"),
        "certificate": str(folder / "approver.crt"),
        "key": str(folder / "approver.key"),
    }
    (folder / "approver.json").write_text(json.dumps(settings))
    argv = agent("approve", str(folder / "approver.json"))
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(daemon(argv, folder / f"approver-{number}.log"))
        yield
