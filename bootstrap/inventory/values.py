"""What a single value of an inventory may be: each check returns the value as it is used, or says why it can't be and
gives an example of what is right.

Whatever passes here reaches unit files, configuration files, command lines and terminals: no check lets through a line
break or another control character.
"""

from __future__ import annotations

import re
import socket
from pathlib import PurePosixPath

from pydantic_core import PydanticCustomError

from bootstrap.inventory.serial_target import carrier_of
from bootstrap.inventory.text import looks_private, unprintable_in
from bootstrap.inventory.written_file.bounds import LONGEST_TEXT

WRONG = "inventory"
# RFC 1123, section 2.1, in lower case as Kubernetes has it.
DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
LONGEST_DNS_NAME = 253
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
SOURCE_FORMS = r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|prompt)"
VERSION = r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3}(-[a-z0-9.-]{1,32})?)?"
MAC = r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}"
LABEL_KEY = rf"({DNS_NAME}/)?{LABEL_NAME}"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TAINT = rf"{LABEL_KEY}(=({LABEL_NAME})?)?:({'|'.join(EFFECTS)})"
DISK = r"(/dev/\S+|serial:.+)"
SOURCE = r"(auto|debian|upstream|.*/.*)"
SYSCTL = r"-?[a-z0-9_]+([./][A-Za-z0-9_:*-]+)+"
MODULE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
USER = r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,63}\$?"
LONGEST_USER = 64
LONGEST_PATH, LONGEST_PART = 4_095, 255
LONGEST_URL = 1_024
LONGEST_SERIAL = 128
# /etc/hosts of every node has them, and actions of the cluster as a whole stand under the last one.
RESERVED_NAMES = ("localhost", "ip6-localhost", "ip6-loopback", "cluster")
ROLE_LABEL = "node-role.kubernetes.io/control-plane"
# The kubelet writes these at each start: https://kubernetes.io/docs/reference/labels-annotations-taints/
OF_THE_KUBELET = tuple(
    f"{domain}kubernetes.io/{name}" for domain in ("", "beta.") for name in ("hostname", "os", "arch")
)
# Controllers set and remove these as nodes come and go.
OF_CONTROLLERS = tuple(
    f"node.kubernetes.io/{name}"
    for name in (
        *("not-ready", "unreachable", "unschedulable", "network-unavailable"),
        *("memory-pressure", "disk-pressure", "pid-pressure"),
    )
)


def wrong(why: str, allowed: str, nearest: str = "") -> PydanticCustomError:
    """What a check raises: why a value can't be used, what is right instead, and the nearest thing that is."""
    said = f"{why}; allowed: {allowed}" if why else f"allowed: {allowed}"
    return PydanticCustomError(WRONG, "{said}", {"said": said, "why": why, "allowed": allowed, "nearest": nearest})


def line(text: str, longest: int = LONGEST_TEXT) -> str:
    """Any text on one line."""
    if len(text) > longest:
        raise wrong(f"it has {len(text)} characters", f"at most {longest}")
    if looks_private(text):
        raise wrong("this is a private key, and it has to stay where it is", "the path of its file, or its .pub line")
    if (char := unprintable_in(text)) is not None:
        raise wrong(f"it holds {char}", "printable characters on one line, without line breaks and control characters")
    return text


def _matching(pattern: str, text: str, allowed: str, longest: int = LONGEST_TEXT) -> str:
    if not re.fullmatch(pattern, line(text, longest)):
        raise wrong("", allowed)
    return text


def cluster_name(text: str) -> str:
    """The name of a cluster: a label of DNS that no program takes for a number."""
    _matching(DNS_LABEL, text, "a to z, 0 to 9 and - inside, at most 63 characters, as in my-cluster")
    if _is_number(text):
        raise wrong("programs take it for a number", f"a name with a letter in it, as in cluster-{text[:20]}")
    return text


def node_name(text: str) -> str:
    """The name of a node: a label of DNS that no program takes for a number or for its own machine."""
    _matching(DNS_LABEL, text, "a to z, 0 to 9 and - inside, at most 63 characters, as in server-1")
    if text in RESERVED_NAMES:
        raise wrong("this name means something else on every node", "another name, as in server-1")
    if _is_number(text):
        raise wrong("programs take it for a number", f"a name with a letter in it, as in node-{text[:20]}")
    return text


def _is_number(text: str) -> bool:
    """Whether YAML, or what resolves host names, may read it as a number."""
    try:
        float(text)
    except ValueError:
        try:
            socket.inet_aton(text)
        except OSError:
            return False
    return True


def dns_name(text: str) -> str:
    """The DNS domain of services."""
    name = _matching(DNS_NAME, text, "a domain of DNS in lower case, as in cluster.local", LONGEST_DNS_NAME)
    # Kubernetes puts names of services before it.
    if len(name) > LONGEST_DNS_NAME - 64:
        raise wrong(f"it has {len(name)} characters", f"at most {LONGEST_DNS_NAME - 64}")
    return name


def secret_source(text: str) -> str:
    """Where a secret is."""
    allowed = "env:NAME, file:PATH or prompt; never the secret itself"
    _matching(SOURCE_FORMS, text, allowed)
    if text.startswith("file:"):
        path(text.removeprefix("file:"))
    return text


def user(text: str) -> str:
    """A user that is logged in as."""
    return _matching(USER, text, "a user's name, as in admin", LONGEST_USER + 1)


def path(text: str) -> str:
    """A path on the operator's machine."""
    if not line(text, LONGEST_PATH).strip():
        raise wrong("", "a path, as in ~/.ssh/id_ed25519")
    if len(text.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_PART for part in text.split("/")):
        raise wrong("no file can have so long a name", f"names of at most {LONGEST_PART} bytes")
    if text.startswith("~") and text.partition("/")[0] != "~":
        raise wrong("the home of another user is not looked up", "the whole path, or one below your own home (~/)")
    return text


def source(text: str) -> str:
    """Where Kubernetes comes from."""
    if text not in ("auto", "debian", "upstream"):
        if "/" not in text:
            raise wrong("", "auto, debian, upstream, or the path of a folder, as in ./kubernetes")
        path(text)
    return text


def version(text: str) -> str:
    """A release of Kubernetes, or a minor version that stands for the newest of its releases."""
    nearest = text[1:] if re.fullmatch(f"v{VERSION}", text) else ""
    if not re.fullmatch(VERSION, line(text)):
        raise wrong("", "a minor version or a release, as in 1.36 or 1.36.2", nearest)
    return text


def flag_value(text: str) -> str:
    """The value of a command line flag."""
    return line(text)


def mac(text: str) -> str:
    """The hardware address of one card."""
    allowed = "a card's hardware address, as in 52:54:00:12:34:56"
    _matching(MAC, text, allowed)
    if int(text[:2], 16) & 1 or not int(text.replace(":", ""), 16):
        raise wrong("this is not the address of one card", allowed)
    return text


def disk(text: str) -> str:
    """A disk: a path below /dev, or its serial number."""
    allowed = "a path below /dev, as in /dev/sda or /dev/disk/by-id/..., or serial:SERIAL"
    if line(text, LONGEST_TEXT).startswith("serial:"):
        serial = text.removeprefix("serial:")
        if not serial.strip() or serial != serial.strip() or len(serial) > LONGEST_SERIAL:
            raise wrong("", f"serial:SERIAL, with a serial number of 1 to {LONGEST_SERIAL} characters")
        return text
    if not text.startswith("/"):
        raise wrong("", allowed, f"/dev/{text}" if re.fullmatch("[a-z]{2,5}[0-9]?[a-z0-9]{0,6}", text) else "")
    parts = PurePosixPath(text).parts
    if str(PurePosixPath(text)) != text or len(parts) < 3 or parts[1] != "dev" or ".." in parts or " " in text:
        raise wrong("", allowed)
    return path(text)


def label_key(text: str) -> str:
    """The key of a label: [domain/]name."""
    domain, slash, name = line(text).rpartition("/")
    if not re.fullmatch(LABEL_NAME, name):
        raise wrong(
            "this is not a label's key",
            "a name of 1 to 63 letters, digits, - _ . inside, perhaps behind a domain, as in example.org/disk",
        )
    if slash and (len(domain) > LONGEST_DNS_NAME or not re.fullmatch(DNS_NAME, domain)):
        raise wrong(
            "what stands before the / is not a domain of DNS",
            "lower-case parts that begin and end with a letter or a digit, as in example.org/disk",
        )
    return text


def node_label_key(text: str) -> str:
    """The key of a label that the inventory may give a Node."""
    if label_key(text) in OF_THE_KUBELET:
        raise wrong("the kubelet writes this label itself", "a label of your own, as in example.org/disk")
    if text == ROLE_LABEL:
        raise wrong("this label is given to servers, and to no other node", "role: server, or a label of your own")
    return text


def label_value(text: str) -> str:
    """The value of a label; it may be empty."""
    if line(text) and not re.fullmatch(LABEL_NAME, text):
        raise wrong("", "at most 63 letters and digits, with - _ . inside, as in fast")
    return text


def taint_key(text: str) -> str:
    """The key of a taint that the inventory may give a Node."""
    if label_key(text) in OF_CONTROLLERS:
        raise wrong("Kubernetes sets and removes this taint itself", "a key of your own, as in example.org/batch")
    return text


def taint(value: object) -> object:
    """A taint as kubectl takes it, KEY=VALUE:EFFECT or KEY:EFFECT, as the mapping that it stands for."""
    if not isinstance(value, str):
        return value
    rest, colon, effect = line(value).rpartition(":")
    if not colon or not rest:
        raise wrong("", 'KEY=VALUE:EFFECT or a mapping, as in "gpu=true:NoSchedule"')
    key, _, told = rest.partition("=")
    return {"key": key, "value": told, "effect": effect}


def dns(value: object) -> object:
    """`none` as the mapping that it stands for."""
    return _none_or_mapping(value, "{forward: {corp.example: [10.1.2.3]}}")


def volumes(value: object) -> object:
    """`none` as the mapping that it stands for."""
    return _none_or_mapping(value, "{default: false}")


def _none_or_mapping(value: object, example: str) -> object:
    if not isinstance(value, str):
        return value
    if value != "none":
        raise wrong("", f"none, or a mapping, as in {example}")
    return {"by": value}


def sysctl(text: str) -> str:
    """A kernel setting."""
    return _matching(SYSCTL, text, "a kernel setting, as in vm.max_map_count", LONGEST_PART)


def module(text: str) -> str:
    """A kernel module."""
    return _matching(MODULE, text, "the name of a kernel module without options, as in nbd")


def console_url(text: str) -> str:
    """The line to a console."""
    try:
        carrier = carrier_of(line(text, LONGEST_URL))
    except ValueError as error:
        raise wrong("", str(error)) from None
    if carrier.place:
        path(carrier.place)
    return text


def port(number: int) -> int:
    """A TCP port."""
    if not 1 <= number <= 65535:
        raise wrong("", "a port from 1 to 65535")
    return number
