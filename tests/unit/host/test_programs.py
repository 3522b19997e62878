"""Programs that this machine lacks are named with the packages that bring them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.host.programs import MANAGERS, PROGRAMS, how_to_install, missing


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, *programs: str) -> None:
    """A machine with nothing but these programs."""
    for name in programs:
        (folder / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("manager", "argv"),
    [
        ("apt-get", ("apt-get", "install", "fdisk", "openssh-client")),
        ("dnf", ("dnf", "install", "openssh-clients", "util-linux")),
        ("pacman", ("pacman", "-S", "openssh", "util-linux")),
    ],
)
def test_each_machine_has_its_own_words_for_installing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, manager: str, argv: tuple[str, ...]
) -> None:
    machine(monkeypatch, tmp_path, manager)
    assert how_to_install(["ssh", "sfdisk"]) == argv


def test_a_machine_whose_package_manager_is_not_known_gets_no_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, tmp_path)
    assert how_to_install(["ssh"]) is None


def test_two_programs_of_one_package_are_installed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, tmp_path, "apt-get")
    assert how_to_install(["mcopy", "mformat"]) == (*MANAGERS["apt-get"], "mtools")


def test_what_is_there_is_not_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, tmp_path, "ssh")
    assert missing(["ssh", "mcopy"]) == ["mcopy"]


def test_a_program_that_is_not_packaged_here_gets_no_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, tmp_path, "pacman")
    assert how_to_install(["mmdebstrap"]) is None
    assert how_to_install(["bwrap"]) is not None


def test_all_that_applies_and_sticks_want_is_packaged_everywhere() -> None:
    wanted = PROGRAMS.keys() - {"mmdebstrap"}
    assert {name for name in wanted if PROGRAMS[name].packages.keys() != MANAGERS.keys()} == set()
