"""What people type who come from other tools, and what does it here."""

from __future__ import annotations

from collections.abc import Mapping

_TAKEN_APART = "to take the cluster off its machines: clusterup down; to take one node out: clusterup remove NODE"
_MADE = "to make the machines what the inventory says: clusterup apply"
_SHOWN = "to see nodes, quorum and API servers: clusterup status"
_HAPPENED = "what happened in a run: clusterup events; a node's console: clusterup console NODE"
_HELP = "every command has --help: clusterup --help, clusterup apply --help"
_CHECKED = "an inventory: clusterup validate; what would be done: clusterup plan; what is there: clusterup status"
_ACCESS = "the kubeconfig: clusterup kubeconfig, or --merge to put it into your own; then use kubectl"
_NEWER = (
    "a cluster that runs keeps the bundle that it was founded with, for now; a new one takes the newest: clusterup "
    "image build, clusterup down, clusterup apply"
)
_AGAIN = "what does not run, or not as it should, is started again by: clusterup apply"
_KEPT = (
    "backups are not made yet. On a server, as root: cd /etc/kubernetes/pki/etcd && etcdctl --cacert ca.crt --cert "
    "server.crt --key server.key snapshot save FILE"
)
_KEYS = "certificates are renewed by: clusterup apply"
_OFF = (
    "to switch a node off: kubectl drain NODE, then clusterup ssh NODE -- systemctl poweroff (docs/changes.md); to end "
    "the cluster: clusterup down"
)
_GONE = "to end a lab and remove its disks: clusterup lab down"

ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "": {
        **dict.fromkeys(("help", "docs", "explain", "usage"), _HELP),
        **dict.fromkeys(("destroy", "delete", "reset", "teardown", "uninstall", "rm", "nuke"), _TAKEN_APART),
        **dict.fromkeys(("up", "create", "install", "deploy", "bootstrap", "provision", "start", "run", "sync"), _MADE),
        **dict.fromkeys(("get", "nodes", "node", "info", "list", "ls", "ps", "show", "describe", "health"), _SHOWN),
        **dict.fromkeys(("log", "history", "trace"), _HAPPENED),
        "journal": "what a node's services say: clusterup logs NODE [UNIT]; what clusterup did: clusterup events",
        **dict.fromkeys(("check", "lint", "test", "preflight"), _CHECKED),
        "diff": "what would be changed in the files of nodes: clusterup plan --diff",
        **dict.fromkeys(("kubectl", "config", "login", "context", "use"), _ACCESS),
        **dict.fromkeys(("upgrade", "update"), _NEWER),
        **dict.fromkeys(
            ("shell", "exec", "attach"), "into a node: clusterup ssh NODE; its serial console: clusterup console NODE"
        ),
        **dict.fromkeys(("leave", "evict"), "to take a node out of the cluster: clusterup remove NODE"),
        **dict.fromkeys(
            ("drain", "cordon", "uncordon"),
            "to keep pods off a node for a while: kubectl drain NODE, kubectl uncordon NODE; for good: clusterup "
            "remove NODE",
        ),
        **dict.fromkeys(("reboot", "restart", "repair", "heal", "fix"), _AGAIN),
        **dict.fromkeys(("backup", "snapshot", "restore", "etcd"), _KEPT),
        **dict.fromkeys(("cert", "certs", "certificates", "renew", "rotate"), _KEYS),
        **dict.fromkeys(("stop", "halt", "shutdown", "poweroff"), _OFF),
        **dict.fromkeys(("clean", "cleanup", "wipe", "prune"), _TAKEN_APART),
        **dict.fromkeys(("edit", "set", "rollback"), "change the inventory, then: clusterup plan, clusterup apply"),
        **dict.fromkeys(
            ("add", "scale"), "a machine: clusterup join HOST; or write it into the inventory, then clusterup apply"
        ),
        **dict.fromkeys(("build", "make"), "to build what is installed: clusterup image build"),
        **dict.fromkeys(("completion", "completions"), "for your shell: clusterup --show-completion bash|zsh|fish"),
        **dict.fromkeys(("import", "takeover", "fetch"), "to take over a cluster on this machine: clusterup adopt"),
        "version": "clusterup --version",
    },
    "lab": {
        **dict.fromkeys(("destroy", "delete", "rm", "remove", "end", "reset"), _GONE),
        **dict.fromkeys(("create", "start", "run", "new"), "to start a lab's machines: clusterup lab up"),
        **dict.fromkeys(("list", "ls", "ps", "show"), "clusterup lab status; what is put aside: clusterup lab saved"),
        **dict.fromkeys(("snapshot", "backup", "pause"), "to put a lab aside: clusterup lab save NAME"),
        **dict.fromkeys(("resume", "revert", "load"), "to bring a lab back: clusterup lab restore NAME"),
        **dict.fromkeys(("ssh", "attach", "logs", "log"), "a machine's console: clusterup lab console NODE"),
        **dict.fromkeys(("kill", "poweroff", "off"), "to cut a machine's power: clusterup lab stop NODE"),
    },
    "token": {
        **dict.fromkeys(("new", "add", "generate", "make"), "to make a token: clusterup token create"),
        **dict.fromkeys(("delete", "rm", "remove", "destroy"), "to take a token back: clusterup token revoke ID"),
        **dict.fromkeys(("ls", "show", "get"), "to see the tokens: clusterup token list"),
    },
    "bundle": {
        **dict.fromkeys(("build", "create", "make"), "to build a bundle: clusterup image build"),
        **dict.fromkeys(("list", "ls", "info"), "to see what is in a bundle: clusterup bundle show"),
        **dict.fromkeys(("check", "test"), "clusterup bundle verify --key KEY.pub"),
    },
    "image": {
        **dict.fromkeys(("create", "make", "new"), "to build a bundle: clusterup image build"),
        **dict.fromkeys(("list", "ls", "info"), "to see what is in a bundle: clusterup image show"),
    },
}


def known_elsewhere(group: str, name: str) -> str:
    """What to type here for a command that other tools have; empty for one that is not known. `group` is that of the
    command, as in "lab"."""
    return ELSEWHERE.get(group, {}).get(name.lower(), "")
