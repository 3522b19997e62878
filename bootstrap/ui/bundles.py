"""Bundles as text that a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from bootstrap.image.contents.difference import Changed, Difference
from bootstrap.outside import on_one_line

# Names of faults that stand on one line.
MOST = 8


def difference_lines(found: Difference) -> Iterator[str]:
    """What is other in one bundle than in another."""
    yield on_one_line(f"{found.old} -> {found.new}")
    for name, changed in found.parts.items():
        yield on_one_line(f"  {name}")
        yield from (f"    {_changed(each)}" for each in changed)
    silent = [name for name in found.other_bytes if name not in found.parts]
    if silent:
        yield on_one_line(f"  other content, the same releases: {', '.join(silent)}")
    if not found.parts and not found.other_bytes:
        yield "  nothing else is other"
    yield from _packages(found)
    yield from _open(found)


def _packages(found: Difference) -> Iterator[str]:
    if found.packages is None:
        yield "packages of the micro OS: one of the bundles has no list of them (it was made by an earlier clusterup)"
        return
    count = len(found.packages)
    yield f"packages of the micro OS: {count or 'none'} {'is' if count == 1 else 'are'} other"
    for each in found.packages:
        yield f"  {_changed(each)}"
        if each.fixes:
            yield on_one_line(f"      fixes {_named(each.fixes)}")
    fixed = len({name for each in found.packages for name in each.fixes})
    if fixed:
        yield f"faults of security that are fixed: {fixed}"


def _open(found: Difference) -> Iterator[str]:
    if not found.open:
        return
    names = {name for each in found.open.values() for name in each}
    yield f"faults that Debian knows of, and that the new one has: {len(names)}"
    for package, each in found.open.items():
        yield on_one_line(f"  {package}: {_named(each)}")


def _changed(each: Changed) -> str:
    back = " (older than before)" if each.goes_back else ""
    return on_one_line(f"{each.name} {each.old or '(was not there)'} -> {each.new or '(gone)'}{back}")


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")
