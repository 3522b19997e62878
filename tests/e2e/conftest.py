"""Operators who sit in front of a lab of virtual machines, and do what users do.

One lab is there at a time. A module begins with one as it was put aside (see `labs`): where its tests build on each
other, once; else again after each test that fails or is marked `breaks`.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from tests.e2e.labs import Labs, Shape, consoles, labs_of
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVER_AND_AGENT, SHAPES, THREE_SERVERS
from tests.scenarios.plugin import SPENT_FOR_OTHERS, WITHOUT_LAB

LABS = pytest.StashKey[Labs]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """No one else meets the lab as a test leaves it that fails, in whatever phase. What its machines said last is
    shown."""
    report = yield
    labs = item.session.stash.get(LABS, None)
    if labs is not None:
        report.user_properties.append((SPENT_FOR_OTHERS, labs.spent_for_others()))
    if report.failed:
        if labs is None or labs.comes:
            report.user_properties.append((WITHOUT_LAB, True))
        if labs is not None:
            labs.spoilt = True
            if labs.operator is not None:
                report.sections.append(("Consoles", consoles(labs.operator)))
    return report


@pytest.fixture(scope="session")
def labs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """All labs that are put aside."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(words: str) -> None:
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            sys.stderr.write(f"{words}\n")

    with labs_of(tmp_path_factory.mktemp, SHAPES, say) as found:
        request.session.stash[LABS] = found
        yield found


def shared(labs: Labs, shape: Shape, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """A lab of that shape for one test: as the module's test before left it, unless that failed or breaks things."""
    yield labs.shared(shape, str(request.path))
    labs.spoilt = labs.spoilt or request.node.get_closest_marker("breaks") is not None


@pytest.fixture
def server_and_agent(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """A cluster of a server and an agent."""
    yield from shared(labs, SERVER_AND_AGENT, request)


@pytest.fixture
def cluster(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """A cluster of three servers."""
    yield from shared(labs, THREE_SERVERS, request)


@contextmanager
def lab_of(labs: Labs, factory: pytest.TempPathFactory, name: str, *counts: str) -> Iterator[Operator]:
    """Somebody in a new folder, with bare machines of a lab of that name that is like no other."""
    labs.comes = True
    labs.ends()
    operator = Operator(factory.mktemp(name), labs.alone(name), name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(operator.state))
        try:
            operator.clusterup("lab", "up", "--name", operator.name, *counts, "--inventory", "lab.yaml")
            labs.comes = False
            yield operator
        finally:
            sys.stdout.write(consoles(operator))
            operator.runs("lab", "down", "--name", operator.name)
