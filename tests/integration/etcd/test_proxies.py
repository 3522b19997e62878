"""An operator's proxy is for the world outside: nothing about a cluster goes there."""

from __future__ import annotations

import pytest

from tests.helpers.daemons import free_ports
from tests.helpers.quorum import Place, Quorum


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_member_is_asked_directly_whatever_proxy_the_environment_names(
    quorum: Quorum, member: Place, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_ports(1)[0]}")
    with quorum.client(member) as client:
        assert client.healthy()
        client.put("/kept", "without a proxy")
        assert [each.name for each in client.members()] == ["s1"]
