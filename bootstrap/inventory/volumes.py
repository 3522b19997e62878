"""What an inventory says of volumes: who makes those that pods claim."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bootstrap.inventory import values
from bootstrap.inventory.fields import DiskName, YesOrNo
from bootstrap.inventory.software import Strict


class Volumes(Strict):
    """Volumes, as pods claim them."""

    by: Literal["nodes", "none"] = Field(
        default="nodes",
        description="Who makes them: each node on its own disk (the storage class `local`), or none of them, so that a "
        "manifest of yours brings what does. `volumes: none` says the same.",
    )
    default: YesOrNo = Field(
        default=True, description="Whether claims that name no storage class get a volume of the class `local`."
    )


class NodeVolumes(Strict):
    """Where a node keeps the volumes of its pods."""

    disk: DiskName | None = Field(
        default=None,
        examples=["/dev/sdb", "serial:S5H9NS0N"],
        description="A further disk for volumes: /dev/vdb, /dev/disk/by-id/..., or serial:SERIAL. It has to be empty, "
        "and is formatted. Default: they are on the disk of the micro OS.",
    )


AnyVolumes = Annotated[Volumes, BeforeValidator(values.volumes, json_schema_input_type=Volumes | Literal["none"])]
