"""A disk that fills up: the node is named, and follows when there is room."""

from __future__ import annotations

import pytest

from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER

pytestmark = pytest.mark.e2e
# All that is free, what is kept for root as well: half of what does not fit any more, down to the last block. Again and
# again: journald and the kubelet throw away what they can when a disk is full.
FILL = """\
systemd-run --quiet --unit=filler sh -c '
    n=0
    while :; do
        size=$(($(stat -f -c "%f * %S" /var)))
        while [ "$size" -ge 4096 ]; do
            fallocate -l "$size" "/var/filler.$n" 2>/dev/null || size=$((size / 2))
            n=$((n + 1))
        done
        sleep 0.1
    done'
while fallocate -l 65536 /var/probe; do
    rm -f /var/probe
    sleep 0.1
done 2>/dev/null
"""
EMPTY = "systemctl stop filler; rm -f /var/filler.* /var/probe"


def test_a_node_with_a_full_disk_is_named_the_others_go_on_and_it_follows_when_there_is_room(
    server_and_agent: Operator,
) -> None:
    lab = server_and_agent
    lab.edits(lambda content: content["kubernetes"].update({"kubelet_args": {"v": "1"}}))
    lab.runs_on(AGENT, FILL)
    try:
        full = lab.runs("apply", "lab.yaml", "--yes")
    finally:
        lab.runs_on(AGENT, EMPTY)
    assert full.returncode == 3
    assert f"{AGENT}: files: " in full.stderr + full.stdout
    assert "No space left on device" in full.stderr + full.stdout
    assert f"all done: {SERVER}" in full.stdout
    assert f"{AGENT}: failed: files; not begun: join" in full.stdout
    lab.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml")
    assert lab.status()["healthy"]
