"""Secrets out of text: those that this cluster has, wherever they stand, and all that looks like one."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REMOVED = "[removed: {}]"
# Shorter ones stand in texts by chance.
SHORTEST = 8
SHORT = 1000
_BEGIN, _END = "-----BEGIN [A-Z ]*PRIVATE KEY-----", "-----END [A-Z ]*PRIVATE KEY-----"
_KEY_BODY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s(.+?)-----END", re.DOTALL)
_CERTIFICATE = re.compile(rb"^\s*-----BEGIN CERTIFICATE-----")
_DATA = re.compile(rb"(?:client-key-data|token|password):\s*\"?([A-Za-z0-9+/=._-]{8,})")
# What looks like a secret: how it is called, and what of it is kept.
_LOOKS = (
    ("a private key", re.compile(f"{_BEGIN}.*?(?:{_END}|\\Z)", re.DOTALL), ""),
    ("a token", re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), ""),
    ("a token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), ""),
    ("a password", re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"), ""),
    ("a header", re.compile(r"(?i)(authorization:\s*(?:bearer|basic)\s+)\S+"), r"\1"),
    (
        "a secret",
        re.compile(
            r"(?i)(\b[\w.-]*(?:password|passwd|passphrase|secret|token|credential|client-key-data|private[-_]?key|"
            r"encryption[-_]?key|api[-_]?key)[\w.-]*[\"']?\s*[:=]\s*[\"']?)(?!env:|file:|prompt\b|null\b|true\b|false\b)"
            r"([^\s\"',;}\]]{8,})"
        ),
        r"\1",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scrubber:
    """Takes secrets out of text. `known` are those that are known, by what each is."""

    known: Mapping[str, str] = field(default_factory=dict, repr=False)

    def cleaned(self, text: str) -> str:
        """The text without them."""
        for secret, what in self.known.items():
            if secret in text:
                text = text.replace(secret, REMOVED.format(what))
        for what, pattern, kept in _LOOKS:
            text = pattern.sub(kept + REMOVED.format(what), text)
        return text


def known_secrets(folder: Path) -> dict[str, str]:
    """Each secret in the files below the folder, where it has several lines line by line, as it is and in base64; and
    what each is called. Long ones come first, so that none is left in part. Raises OSError."""
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            for what, secret in _in_file(file):
                for form in (secret, base64.b64encode(secret.encode()).decode()):
                    if len(form) >= SHORTEST:
                        found.setdefault(form, what)
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def _in_file(file: Path) -> Iterator[tuple[str, str]]:
    content = file.read_bytes()
    if _CERTIFICATE.match(content) or file.suffix in (".jsonl", ".pub"):
        # What is public, and what is written without secrets.
        return
    for body in _KEY_BODY.findall(content):
        yield file.name, content.decode(errors="replace")
        for line in body.decode(errors="replace").split():
            yield f"a line of {file.name}", line
    for value in _DATA.findall(content):
        yield f"a value of {file.name}", value.decode()
    if "key" in file.name and b"PRIVATE KEY" not in content and len(content) < SHORT:
        yield file.name, content.decode(errors="replace").strip()
