"""Where the entries of an inventory stand in its text, read from YAML's tokens."""

from __future__ import annotations

import yaml

Span = tuple[int, int]
"""Where something begins and ends in a text, in characters."""
CONTENT = (
    yaml.ScalarToken,
    yaml.AliasToken,
    yaml.AnchorToken,
    yaml.ValueToken,
    yaml.FlowMappingEndToken,
    yaml.FlowSequenceEndToken,
)


def section(text: str, name: str) -> yaml.Node:
    """What stands under a key of the whole document, which has it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    found: yaml.Node = next(value for key, value in root.value if key.value == name)
    return found


def entries(text: str) -> yaml.SequenceNode:
    """The nodes of an inventory."""
    found = section(text, "nodes")
    assert isinstance(found, yaml.SequenceNode)
    return found


def entry_span(text: str, entries: yaml.SequenceNode, number: int) -> Span:
    """Where an entry begins and the last thing in it ends. A block's own end is where the next thing begins, with all
    blanks and comments in between, and that of an alias is where its anchor is: the tokens know better."""
    begins = entries.value[number].start_mark.index
    after = entries.value[number + 1 :]
    limit = after[0].start_mark.index if after else entries.end_mark.index - len("]" if entries.flow_style else "")
    ends = [token.end_mark.index for token in tokens(text, CONTENT) if begins <= token.start_mark.index < limit]
    # Literal text goes on as far as the next thing.
    return begins, begins + len(text[begins : ends[-1] if ends else limit].rstrip())


def dash_before(text: str, place: int) -> int | None:
    """The last dash of a list that stands before a place; None where there is none."""
    dashes = [
        token.start_mark.index for token in tokens(text, (yaml.BlockEntryToken,)) if token.start_mark.index < place
    ]
    return dashes[-1] if dashes else None


def commas(text: str) -> list[int]:
    """Where the commas are that part entries in brackets and braces."""
    return [token.start_mark.index for token in tokens(text, (yaml.FlowEntryToken,))]


def tokens(text: str, kinds: tuple[type[yaml.Token], ...]) -> list[yaml.Token]:
    """The tokens of these kinds."""
    return [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if isinstance(token, kinds)]


def lines_around(text: str, span: Span) -> Span:
    """The whole lines that a span is on, their ends included."""
    ends = text.find("\n", span[1])
    return text.rfind("\n", 0, span[0]) + 1, len(text) if ends < 0 else ends + 1
