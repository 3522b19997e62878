"""What an installation that was interrupted left on a disk.

A disk that holds exactly the configuration that a node is to be given was written for this node by clusterup: no one
else has the node's private host key, which is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum

from bootstrap.facts.model import DiskFacts
from bootstrap.facts.stretches import HEAD
from bootstrap.image.bundle import Artifact
from bootstrap.image.disk.configuration import LABEL, EtcFile, configuration_image


class DiskProgress(Enum):
    """How far a disk is that was written for its node: all but the partition table, or complete; and whether the system
    on it was started before, which changes the table."""

    TORN = "torn"
    COMPLETE = "complete"
    STARTED = "started"


def written(disk: DiskFacts, image: Artifact, files: Sequence[EtcFile]) -> DiskProgress | None:
    """How far the disk was written with `image` and a configuration of `files`; None where it was not."""
    if LABEL not in disk.ranges:
        return None
    configuration = configuration_image(files, image=image.sha256, size=image.partition(LABEL).size)
    if disk.ranges[LABEL] != hashlib.sha256(configuration).hexdigest():
        return None
    if disk.ranges[HEAD] == image.segments[0].sha256:
        return DiskProgress.COMPLETE
    return DiskProgress.STARTED if LABEL in disk.partitions else DiskProgress.TORN
