"""A real API server and controllers for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.kube.servers import SIGNER, ApiServer, running_api_server, running_controllers


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_api_server(tmp_path_factory.mktemp("apiserver")) as server:
        yield server


@pytest.fixture(scope="module")
def controllers(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_controllers(api_server, tmp_path_factory.mktemp("controllers")):
        yield


@pytest.fixture(scope="module")
def signer(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What signs for new tokens, and nothing that takes anything away."""
    with running_controllers(api_server, tmp_path_factory.mktemp("signer"), SIGNER):
        yield
