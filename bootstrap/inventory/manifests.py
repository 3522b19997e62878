"""What an inventory says of objects that it brings into the cluster."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bootstrap.inventory import values
from bootstrap.inventory.fields import OwnPath, Seconds, YesOrNo
from bootstrap.inventory.software import Strict

URL = r"https?://[^\s/@?#]+/[^\s#]*"
SHA256 = r"[0-9a-f]{64}"
READY_SECONDS = 1800


def address(text: str) -> str:
    """Where a file is on a server."""
    if not re.fullmatch(URL, values.line(text, values.LONGEST_URL)):
        raise values.wrong("", "the address of a file, as in https://example.org/apps/web.yaml, without a password")
    return text


def digest(text: str) -> str:
    """What tells a file from another."""
    if not re.fullmatch(SHA256, values.line(text)):
        raise values.wrong("", "64 hexadecimal digits, as sha256sum prints them")
    return text


def path_alone(value: object) -> object:
    """A path as the mapping that it stands for."""
    if not isinstance(value, str):
        return value
    return {"url": value} if value.startswith(("https://", "http://")) else {"path": value}


Url = Annotated[str, AfterValidator(address)]
Digest = Annotated[str, AfterValidator(digest)]


class ManifestSource(Strict):
    """A file, a folder of files, or a file on a server. A path alone says the same as a mapping with `path`."""

    path: OwnPath | None = Field(
        default=None,
        examples=["apps", "apps/web.yaml"],
        description="A file, or a folder whose files (.yaml, .yml, .json) are taken in the order of their names. "
        "Relative to the folder of the inventory.",
    )
    url: Url | None = Field(
        default=None,
        examples=["https://example.org/apps/web.yaml"],
        description="A file on a server. It is fetched once, and believed when it has the digest of `sha256`.",
    )
    sha256: Digest | None = Field(
        default=None, examples=["0" * 64], description="SHA-256 of the file at `url`, as sha256sum prints it."
    )
    wait: Seconds = Field(
        default=READY_SECONDS,
        ge=0,
        le=86_400,
        examples=[600],
        description="Seconds that its objects may take until they are at work (0: that is not waited for). The next "
        "entry is applied after that.",
    )
    take_over: YesOrNo = Field(
        default=False,
        description="Write fields of objects that were there before, and that somebody else wrote.",
    )

    @property
    def name(self) -> str:
        """What it is called in messages: its path or address, as it is written."""
        return self.path or self.url or ""


AnyManifests = Annotated[ManifestSource, BeforeValidator(path_alone, json_schema_input_type=ManifestSource | str)]
