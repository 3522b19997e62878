"""Templates to bytes: a name that a template uses and no one gave is an error, never an empty string."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from bootstrap.paths import templates_dir

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- unit files and YAML, not HTML
        auto_reload=False,  # no one edits them while a command runs
    )


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


def render(template: str, **values: object) -> bytes:
    """The file `template` (relative to templates/) filled with `values`. Raises jinja2.UndefinedError for a
    name that was not given."""
    return _template(template).render(**values).encode()
