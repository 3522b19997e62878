"""Keys that sign bundles: Ed25519 keys, and never their private halves."""

from __future__ import annotations

import pytest

from tests.unit.inventory.reading import KEY, lab, problem, read
from tests.unit.inventory.test_single_values import PRIVATE


@pytest.mark.parametrize("line", [KEY, f"{KEY} release of the lab"])
def test_keys_that_sign_bundles(line: str) -> None:
    assert read(lab(os={"trusted_keys": [line]})).inventory.os.trusted_keys == (line,)


@pytest.mark.parametrize(
    "line",
    ["", f"no-pty {KEY}", KEY[:40], "SHA256:x", f"ssh-rsa {'A' * 80}", PRIVATE],
    ids=["nothing", "with-options", "cut", "fingerprint", "rsa", "private"],
)
def test_keys_that_sign_no_bundle(line: str) -> None:
    said = problem(lab(os={"trusted_keys": [line]}))
    assert "os.trusted_keys.0: found a" in said
    assert "b3BlbnNz" not in said
