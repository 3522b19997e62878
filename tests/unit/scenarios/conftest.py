"""What tests of the rule that CI tells the truth begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios import files, plugin
from tests.unit.scenarios.suite import Clock, Suite


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A repository without scenarios."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.path / "cache"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # Other plugins take longer to load than all of this.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Suite(pytester, monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock that the plugin looks at."""
    found = Clock()
    for module in (plugin, files):
        monkeypatch.setattr(module, "now", found)
    yield found
