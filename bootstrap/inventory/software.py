"""What an inventory says of the software: which Kubernetes, which bundle, and who has to have signed it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from bootstrap.inventory.fields import (
    ApiServerFlags,
    ControllerManagerFlags,
    EtcdFlags,
    KubeletFlags,
    OwnPath,
    SchedulerFlags,
    Source,
    TrustedKey,
    Version,
)


class Strict(BaseModel):
    """A section of the inventory: no unknown keys, immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kubernetes(Strict):
    """Where Kubernetes comes from, and which version."""

    source: Source = Field(
        default="auto",
        examples=["upstream", "debian", "./kubernetes"],
        description="upstream (its project's releases), debian (1.20.2 out of Debian's source package, for trying "
        "out), a folder with the binaries, or auto: upstream where that is reached.",
    )
    version: Version | None = Field(
        default=None,
        description="The release, or a minor version for the newest of its releases: 1.36.2, 1.36.",
        examples=["1.36"],
    )
    api_server_args: ApiServerFlags = Field(
        default_factory=dict,
        description="More flags of kube-apiserver.",
        examples=[{"v": "2", "enable-admission-plugins": "PodNodeSelector"}],
    )
    controller_manager_args: ControllerManagerFlags = Field(
        default_factory=dict, description="More flags of kube-controller-manager.", examples=[{"v": "2"}]
    )
    scheduler_args: SchedulerFlags = Field(
        default_factory=dict, description="More flags of kube-scheduler.", examples=[{"v": "2"}]
    )
    etcd_args: EtcdFlags = Field(
        default_factory=dict, description="More flags of etcd.", examples=[{"quota-backend-bytes": "8589934592"}]
    )
    kubelet_args: KubeletFlags = Field(
        default_factory=dict, description="More flags of the kubelet.", examples=[{"max-pods": "200"}]
    )


class OperatingSystem(Strict):
    """The micro OS."""

    bundle: OwnPath | None = Field(
        default=None,
        examples=["./bundle"],
        description="The bundle to install, a folder or a file. Default: the newest made by `clusterup image build`.",
    )
    trusted_keys: tuple[TrustedKey, ...] = Field(
        default=(),
        examples=[["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm release"]],
        description="Ed25519 keys. A bundle that none of them has signed is not installed (`clusterup bundle sign`).",
    )
