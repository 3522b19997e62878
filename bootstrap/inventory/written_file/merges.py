"""Merge keys of YAML (`<<: *shared`): what a mapping says with that of others in it.

Source: https://yaml.org/type/merge.html. A key of the mapping's own wins; of several that are merged, the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import yaml

from bootstrap.inventory.written_file.bounds import DEEPEST, MOST_VALUES

MERGE = "tag:yaml.org,2002:merge"
Pair = tuple[yaml.Node, yaml.Node]
Wrong = Callable[[yaml.Node, str, str], None]
Stop = Callable[[yaml.Node], NoReturn]
EXAMPLE = "a mapping or a list of mappings, as in <<: *shared, where another one is called &shared"


class Merges:
    """The pairs of the mappings of one document. `wrong` is told what is wrong; `too_many` and `too_deep` end the
    reading where a document means more than it says, or stands in itself."""

    def __init__(self, wrong: Wrong, *, too_many: Stop, too_deep: Stop) -> None:
        self._wrong, self._too_many, self._too_deep = wrong, too_many, too_deep
        self._known: dict[int, list[Pair]] = {}
        self._looked_at = 0

    def pairs(self, node: yaml.MappingNode, depth: int = 0) -> list[Pair]:
        """The keys and values of a mapping: its own, then those that are merged into it."""
        if id(node) not in self._known:
            if depth >= DEEPEST:
                self._too_deep(node)
            self._known[id(node)] = self._read(node, depth)
        return self._known[id(node)]

    def _read(self, node: yaml.MappingNode, depth: int) -> list[Pair]:
        found = [pair for pair in node.value if pair[0].tag != MERGE]
        merged = [value for key, value in node.value if key.tag == MERGE]
        if not merged:
            return found
        if len(merged) > 1:
            self._wrong(node, "<< stands in this mapping a second time", "one <<, as in <<: [*first, *second]")
        named = {key.value for key, _ in found if isinstance(key, yaml.ScalarNode)}
        for mapping in self._mappings(merged[0]):
            for key, value in self.pairs(mapping, depth + 1):
                self._looked_at += 1
                if self._looked_at > MOST_VALUES:
                    self._too_many(node)
                if isinstance(key, yaml.ScalarNode) and key.value not in named:
                    named.add(key.value)
                    found.append((key, value))
        return found

    def _mappings(self, node: yaml.Node) -> list[yaml.MappingNode]:
        listed = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = [each for each in listed if isinstance(each, yaml.MappingNode)]
        if len(found) < len(listed):
            self._wrong(node, "this can't be merged", EXAMPLE)
        return found
