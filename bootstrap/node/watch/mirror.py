"""What the cluster has of one kind, as this node knows it, and what of that is new to whoever uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """An object that is another one than before; `before` is None where it is new, `after` where it is gone."""

    key: str
    before: T | None
    after: T | None


class Mirror(Generic[T]):
    """Objects by key. One thread follows the cluster and writes, another one takes what has changed.

    `changed` is called after each change, by the thread that writes.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._items: dict[str, T] = {}
        self._before: dict[str, T | None] = {}
        self._whole = False

    @property
    def whole(self) -> bool:
        """Whether everything was listed once: before that, what is not among the objects may still be there."""
        with self._lock:
            return self._whole

    @property
    def items(self) -> dict[str, T]:
        """All objects now."""
        with self._lock:
            return dict(self._items)

    def replace(self, items: Mapping[str, T]) -> None:
        """These are all objects that there are."""
        with self._lock:
            for key in (*items, *(key for key in self._items if key not in items)):
                self._put(key, items.get(key))
            self._whole = True
        self._changed()

    def put(self, key: str, item: T | None) -> None:
        """An object is this one from now on; None where it is gone."""
        with self._lock:
            self._put(key, item)
        self._changed()

    def take(self) -> list[Change[T]]:
        """What is another object than at the last time that somebody took this."""
        with self._lock:
            before, self._before = self._before, {}
            taken = [Change(key, old, self._items.get(key)) for key, old in before.items()]
        return [change for change in taken if change.before != change.after]

    def _put(self, key: str, item: T | None) -> None:
        old = self._items.get(key)
        if old == item:
            return
        self._before.setdefault(key, old)
        if item is None:
            del self._items[key]
        else:
            self._items[key] = item
