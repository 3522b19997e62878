"""Inventories by the thousand: structured as the JSON schema says, with right values and nasty ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from bootstrap.inventory.model import Inventory

MARK = "INJECTED"
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0"
PRIVATE_KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"

WORDS: tuple[str, ...] = (
    *("", " ", "a b", "-", "--", "-rf", "--help", "=", "a=b", ",", "a,b", ":", "a:b", "/", "//", ".", "..", "~", "*"),
    *("a" * 63, "a" * 64, "a" * 300, "a" * 5_000, "a/" * 2_000, "9" * 400, "é", "日本", "a\u00a0b", "🙂"),
    *(f"1\nExecStartPost=/bin/touch {MARK}", f"a\n{MARK}", f"a\r\n{MARK}", f"a\u2028{MARK}", f"a\x85{MARK}"),
    *("a\tb", "a\x00b", "\x1b[2J\x1b[31m", "\x07", "\x7f", "a\u202eb", "\ufeffa", "a\u200bb", "\udc80"),
    *("%n", "%%", "100%", "$HOME", "${HOME}", "$$", "$(id)", "`id`", "a;b", "a&b", "a|b", "a>b", "#a", "a #b"),
    *("'", '"', "a'b", 'a"b', "\\", "a\\", "\\n", "{{ node }}", "{% raw %}", "@NODE@", "@ADDRESS@", "clusterup"),
    *("clusterup-stranger-qqqqqqqq", "198.51.100.237", "localhost", "cluster", "kubernetes", "server-1", "default"),
    *("true", "null", "yes", "on", "n", "1", "0", "00", "1e3", "0x10", "0o7", "1.5", "inf", "nan", "2001-01-01"),
    *("0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "10.77.0.0", "10.77.0.255"),
    *("10.77.0.1", "10.96.0.1", "10.244.0.5", "010.0.0.1", "10.0.0", "1.2.3.4.5", "::1", "2001:db8::1", "[::1]:6443"),
    *("0.0.0.0/0", "10.0.0.0/8", "10.244.0.0/16", "10.244.1.0/16", "10.96.0.0/30", "172.16.0.0/12", "10.77.0.9/24"),
    *("10.77.0.9/99", "10.77.0.9/255.255.255.0", "a.b:1", "a.b:0", "a.b:99999", "a.b:", "https://a.b:6443/x", "a_b.c"),
    *("sda", "/dev/sda", "/dev/", "/dev/../etc/shadow", "/dev/sda/", "/etc/passwd", "serial:", "serial:A B", "dev/sda"),
    *("52:54:00:12:34:56", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "52-54-00-12-34-56", "01:00:5e:00:00:01"),
    *("kubernetes.io/hostname", "node-role.kubernetes.io/control-plane", "a..b/c", "a.-b/c", "A.b/c", "a/b/c", "/a"),
    *("node.kubernetes.io/not-ready", "x.k8s.io/y", "authorization-mode", "authorization_mode", "anonymous-auth", "v"),
    *("NodeRestriction", "AlwaysAllow", "env:X", "env:", "file:", "file:~nobody/x", "prompt", "secret", "~nobody/x"),
    *(PRIVATE_KEY, "SHA256:abc", "ssh-ed25519 AAAA", "ssh-rsa", "ssh-dss AAAA me", "../../etc/passwd", "debian"),
    *(
        "upstream",
        "v1.31.2",
        "1.31.2",
        "1.31",
        "telnet://h:0",
        "telnet://h:99999999999",
        "command: '",
        "pipe:",
        "unix:",
    ),
    *("/dev/ttyS0", "socket://[::1]:7", "kernel.core_pattern", "net/ipv4/ip_forward", "vm..x", "nbd max_part=8"),
)
THINGS: tuple[Any, ...] = (
    *(0, 1, -1, 22, 65535, 65536, 3232235777, 2**63, 10**30, 1.5, -0.0, 1e308, float("inf"), float("nan")),
    *(True, False, None, [], {}, [[]], [None], {"a": {}}, {"": ""}, [1, "a"], {"key": "a", "effect": "NoSchedule"}),
)


@cache
def schema() -> dict[str, Any]:
    return Inventory.model_json_schema()


def inventory(seed: int) -> bytes:
    """The inventory of that number, the same each time. Few have nothing nasty in them; about a quarter are right, as
    much that is nasty is allowed."""
    random = Random(seed)
    maker = _Maker(random, nasty=random.choices((0.0, 0.02, 0.06, 0.3), (5, 32, 48, 15))[0])
    document = maker.section(schema(), ())
    return json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


@dataclass
class _Maker:
    random: Random
    nasty: float
    more: float = 0.25
    _numbers: list[int] = field(default_factory=lambda: [0])

    def section(self, described: dict[str, Any], place: tuple[str, ...]) -> Any:
        """A mapping with the keys that it needs, and some of the others."""
        required = described.get("required", ())
        found = {
            key: self._value(each, (*place, key))
            for key, each in described["properties"].items()
            if key in required or self.random.random() < self.more
        }
        if self._is_nasty():
            found[self.random.choice(WORDS)] = self._anything()
        if found and self._is_nasty():
            del found[self.random.choice(list(found))]
        return self._fitting(found, place)

    def _value(self, described: dict[str, Any], place: tuple[str, ...]) -> Any:
        if self._is_nasty():
            return self._anything()
        if (known := self._known(place)) is not None:
            return known
        # What may be left out is that or nothing.
        either: list[dict[str, Any]] = described.get("anyOf") or [{}]
        described = {**described, **either[0]}
        if "$ref" in described:
            described = schema()["$defs"][described["$ref"].rpartition("/")[2]]
        if "properties" in described:
            return self.section(described, place)
        return self._plain(described, place)

    def _plain(self, described: dict[str, Any], place: tuple[str, ...]) -> Any:
        kind = described.get("type")
        if kind == "array":
            return self._list(described, place)
        if kind == "object":
            return self._mapping(described)
        if kind == "boolean":
            return self.random.random() < 0.5
        return self.random.choice(described.get("enum") or described["examples"])

    def _list(self, described: dict[str, Any], place: tuple[str, ...]) -> list[Any]:
        items = described["items"]
        examples = (described.get("examples") or [[]])[0]
        if "$ref" not in items:
            return [self._anything() if self._is_nasty() else each for each in examples[: self.random.randint(0, 2)]]
        count = self.random.choice((1, 1, 2, 3)) if place == ("nodes",) else self.random.randint(0, 2)
        made = []
        for _ in range(count):
            self._numbers[0] += 1
            made.append(self._value(items, (*place, "[]")))
        return made

    def _mapping(self, described: dict[str, Any]) -> dict[str, Any]:
        found = dict(described["examples"][0])
        for key in list(found):
            if self._is_nasty():
                found[key] = self._anything()
            if self._is_nasty():
                found[self.random.choice(WORDS)] = found.pop(key)
        return found

    def _known(self, place: tuple[str, ...]) -> Any:
        """What has to be another one each time, or to fit something else."""
        number = self._numbers[0]
        last = place[-1]
        if place[-3:] == ("nodes", "[]", "name"):
            return self.random.choice((f"n{number}", f"n{number}", f"{number}a", f"true{number}", f"a-{number}"))
        if place[-3:] == ("nodes", "[]", "address"):
            return f"10.77.0.{number}"
        if last == "mac":
            return f"52:54:00:00:00:{number:02x}"
        if place[-2:] == ("console", "url") and "nodes" in place:
            return self.random.choice(
                (f"/dev/ttyUSB{number}", f"telnet://192.0.2.250:70{number:02}", f"unix:/run/{number}")
            )
        if place == ("kubernetes", "source"):
            return self.random.choice(("debian", "./kubernetes"))
        return None

    def _fitting(self, found: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
        """What would nearly always break a rule between two places is made to fit."""
        if self._is_nasty():
            return found
        if place == () and isinstance(found.get("nodes"), list):
            self._with_servers(found)
        if place == ("nodes", "[]") and isinstance(found.get("interfaces"), list):
            for card in found["interfaces"]:
                if isinstance(card, dict):
                    card |= {"dhcp": True}
                    card.pop("addresses", None)
                    card.pop("gateway", None)
            if found["interfaces"] and isinstance(found["interfaces"][0], dict):
                found["interfaces"][0] |= {"addresses": [f"{found.get('address')}/24"], "gateway": "10.77.0.254"}
        if place[-1:] == ("console",):
            found.pop("url", None) if place[0] == "defaults" else found.setdefault("url", self._known((*place, "url")))
        return found

    def _with_servers(self, document: dict[str, Any]) -> None:
        nodes = [node for node in document["nodes"] if isinstance(node, dict)]
        for number, node in enumerate(nodes):
            node["role"] = "server" if number == 0 or (len(nodes) == 3 and self.random.random() < 0.3) else "agent"
        if len(nodes) == 3 and sum(node["role"] == "server" for node in nodes) == 2:
            nodes[1]["role"] = nodes[2]["role"] = "server"

    def _is_nasty(self) -> bool:
        return self.random.random() < self.nasty

    def _anything(self) -> Any:
        return self.random.choice(WORDS if self.random.random() < 0.75 else THINGS)
