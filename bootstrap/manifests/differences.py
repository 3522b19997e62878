"""What would become other in an object, in words for whoever reads a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.outside import on_one_line

# What the API server writes there by itself, and says nothing of what the object is.
_BESIDE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
OF_SECRETS = ("data", "stringData")
# Where kubectl keeps all that was applied, values of Secrets too.
_KEPT_BY_OTHERS = "metadata.annotations"
LONGEST = 80
# Lists of containers, ports, variables: what they are told apart by.
_NAMES = ("name", "key", "containerPort", "port", "type", "ip")
_NOTHING = object()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What is other in an object as it is and as it would be, a line a value: "spec.replicas: 2 -> 3". Nothing of a
    Secret's values is in it. Empty where both are the same."""
    hidden = (*OF_SECRETS, _KEPT_BY_OTHERS) if after.get("kind", before.get("kind")) == "Secret" else ()
    return tuple(_between(_without_beside(before), _without_beside(after), "", hidden))


def laid_over(found: Any, wanted: Any) -> Any:
    """What becomes of an object where nobody can say it but whoever writes: what is wanted, and what it has beside."""
    if not isinstance(found, Mapping) or not isinstance(wanted, Mapping):
        return wanted
    return {**found, **{key: laid_over(found.get(key), value) for key, value in wanted.items()}}


def _without_beside(found: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in (found.get("metadata") or {}).items() if key not in _BESIDE}
    # Who writes the status is at work on it all the time.
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    return {**rest, "metadata": metadata}


def _between(before: Any, after: Any, where: str, hidden: tuple[str, ...]) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _between(before.get(key, _NOTHING), after.get(key, _NOTHING), _below(where, key), hidden)
    elif isinstance(before, list) and isinstance(after, list) and (name := _named_by(before, after)):
        ours, theirs = ({each[name]: each for each in side} for side in (after, before))
        for key in dict.fromkeys((*theirs, *ours)):
            yield from _between(theirs.get(key, _NOTHING), ours.get(key, _NOTHING), f"{where}[{key}]", hidden)
        if list(ours) != list(theirs) and set(ours) == set(theirs):
            yield on_one_line(f"{where}: another order")
    elif any(where == each or where.startswith(f"{each}.") for each in hidden):
        yield on_one_line(f"{where}: another value (secret: it is not shown)")
    else:
        yield on_one_line(f"{where}: {_shown(before)} -> {_shown(after)}")


def _below(where: str, key: str) -> str:
    shown = f'"{key}"' if "." in key or "/" in key else key
    return f"{where}.{shown}" if where else shown


def _named_by(before: list[Any], after: list[Any]) -> str | None:
    """The key that tells the maps of both lists apart; None where there is none."""
    everything = [*before, *after]
    if not all(isinstance(each, Mapping) for each in everything):
        return None
    return next(
        (
            name
            for name in _NAMES
            if all(isinstance(each.get(name), (str, int)) for each in everything)
            and all(len({each[name] for each in side}) == len(side) for side in (before, after))
        ),
        None,
    )


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
