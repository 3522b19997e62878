"""What an inventory says of names: who answers for those of the cluster, and who for those of others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bootstrap.inventory import values
from bootstrap.inventory.fields import Address, Domain, YesOrNo
from bootstrap.inventory.software import Strict

Servers = Annotated[tuple[Address, ...], Field(min_length=1)]


class Dns(Strict):
    """Names, as pods look them up."""

    by: Literal["nodes", "none"] = Field(
        default="nodes",
        description="Who answers: each node for its own pods, or none of them, so that a manifest of yours brings what "
        "does. `dns: none` says the same.",
    )
    forward: dict[Domain, Servers] = Field(
        default_factory=dict,
        description="Domains whose names other name servers know than the node's own.",
        examples=[{"corp.example": ["10.1.2.3"]}],
        json_schema_extra={"propertyNames": {"pattern": f"^{values.DNS_NAME}$"}},
    )
    nodes: YesOrNo = Field(
        default=False,
        description="Whether programs on the nodes themselves find the cluster's names too, not pods alone.",
    )


AnyDns = Annotated[Dns, BeforeValidator(values.dns, json_schema_input_type=Dns | Literal["none"])]
