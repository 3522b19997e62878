"""Bundles as text that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    named = {"other content, the same releases": silent, "new": found.added, "gone": found.removed}
    for words, names in named.items():
        if names:
            yield on_one_line(f"  {words}: {', '.join(names)}")
    if not found.parts and not any(named.values()):
        yield "  every part is the same"
    yield from _packages(found)
    yield from _faults("faults of security that are fixed", found.fixed)
    yield from _faults("faults that Debian knows of, and that the new one has", found.open)
    if found.unknown:
        yield f"nothing is known of the faults of {found.unknown} packages: of which source they are is not known"


def _packages(found: Difference) -> Iterator[str]:
    if found.packages is None:
        yield "packages of the micro OS: one of the bundles has no list of them (it was made by an earlier clusterup)"
        return
    count = len(found.packages)
    yield f"packages of the micro OS: {count or 'none'} {'is' if count == 1 else 'are'} other"
    yield from (f"  {_changed(each)}" for each in found.packages)


def _faults(words: str, by_source: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    names = {name for each in by_source.values() for name in each}
    if names:
        yield f"{words}: {len(names)}"
    for source, each in by_source.items():
        more = len(each) - MOST
        rest = f" and {more} more" if more > 0 else ""
        yield on_one_line(f"  {source}: {', '.join(each[:MOST])}{rest}")


def _changed(each: Changed) -> str:
    back = " (older than before)" if each.goes_back else ""
    return on_one_line(f"{each.name} {each.old or '(was not there)'} -> {each.new or '(gone)'}{back}")
