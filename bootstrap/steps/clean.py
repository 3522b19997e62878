"""A node loses its part in the cluster: its disk keeps the installed system and nothing else, or nothing at all."""

from __future__ import annotations

from bootstrap.engine.action import Context
from bootstrap.steps.install import BOOT_SECONDS
from bootstrap.steps.install_commands import reboot, running_system
from bootstrap.steps.world import NodeFacts
from bootstrap.transport.base import Command

CLEAN_SECONDS = 1800.0

_CLEAN = """\
set -eu
. /etc/os-release
[ "$IMAGE_ID" = clusterup ] && [ "${VARIANT_ID:-os}" = os ]
systemctl stop kubelet kube-proxy clusterup-network kube-scheduler kube-controller-manager kube-apiserver etcd \
    clusterup-balancer containerd 2>/dev/null || :
awk '$2 ~ "^/(var/lib/kubelet|run/containerd|run/netns)/" { print $2 }' /proc/mounts | sort -r | while read -r place; do
    umount -l "$place"
done
rm -rf /var/lib/etcd /var/lib/etcd.removed-* /var/lib/kubelet /var/lib/containerd /var/lib/cni /var/log/pods \
    /var/lib/extensions/clusterup.raw /var/lib/clusterup
sync
"""

_WIPE = """\
set -eu
disk=$(lsblk --noheadings --nodeps --paths --output NAME --inverse "$(findmnt --noheadings --output SOURCE /var)" |
    tail -n 1)
[ -b "$disk" ]
wipefs --all --force "$disk" >&2
sync
echo b >/proc/sysrq-trigger
"""


def is_clean(facts: NodeFacts) -> bool:
    """Whether nothing is on an installed node that came to it after its installation."""
    return facts.kind == "installed" and not (facts.payload or facts.etcd_data or facts.files)


def clean_node(context: Context, node: str) -> None:
    """Stop everything that the cluster runs on a node, remove what it brought, and restart the machine. Raises
    ClusterupError."""
    transport = context.on(node)
    before = transport.check(running_system()).text.split()[0]
    transport.check(Command("clean the node", _CLEAN), timeout=CLEAN_SECONDS)
    transport.check(reboot())

    def restarted() -> bool:
        return context.reopen(node).check(running_system(), timeout=30).text.split()[0] != before

    context.wait_until(restarted, what="the restarted node", timeout=BOOT_SECONDS, every=2.0)


def wipe_node(context: Context, node: str) -> None:
    """Erase the partition tables of the disk that a node runs from, and restart the machine. The connection is lost
    then. Raises ClusterupError."""
    context.on(node).run(Command("erase the disk", _WIPE), timeout=120)
    context.leave(node)
