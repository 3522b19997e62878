"""What single values of an inventory are: their types, with the checks that have the words, and the patterns of the
JSON Schema, which editors check as somebody types."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bootstrap.inventory import flags, hosts, public_keys, values
from bootstrap.inventory.serial_target import URL_PATTERN

# What editors check as somebody types; the checks beside them have the words.
_AS_LABEL = Field(json_schema_extra={"pattern": f"^{values.DNS_LABEL}$"})
_AS_DOMAIN = Field(json_schema_extra={"pattern": f"^{values.DNS_NAME}$"})
_AS_SECRET = Field(json_schema_extra={"pattern": f"^{values.SOURCE_FORMS}$"})
_AS_MAC = Field(json_schema_extra={"pattern": f"^{values.MAC}$"})
_AS_PORT = Field(strict=True, json_schema_extra={"minimum": 1, "maximum": 65535})
_AS_TAINT = Field(json_schema_extra={"pattern": f"^{values.TAINT}$"})
_AS_ADDRESS = Field(json_schema_extra={"pattern": f"^{hosts.IPV4}$"})
_AS_NETWORK = Field(json_schema_extra={"pattern": f"^{hosts.IPV4}{hosts.PREFIX}$"})
_AS_DISK = Field(json_schema_extra={"pattern": f"^{values.DISK}$"})
_AS_SOURCE = Field(json_schema_extra={"pattern": f"^{values.SOURCE}$"})
# An editor may take 1.36 for a number.
_AS_VERSION = Field(json_schema_extra={"type": ["string", "number"], "pattern": f"^{values.VERSION}$"})
_AS_USER = Field(json_schema_extra={"pattern": f"^{values.USER}$"})
_AS_LABEL_KEY = Field(json_schema_extra={"pattern": f"^{values.LABEL_KEY}$"})
_AS_LABEL_VALUE = Field(json_schema_extra={"pattern": f"^({values.LABEL_NAME})?$"})
_AS_MODULE = Field(json_schema_extra={"pattern": f"^{values.MODULE}$"})
_AS_URL = Field(json_schema_extra={"pattern": URL_PATTERN})

ClusterName = Annotated[str, AfterValidator(values.cluster_name), _AS_LABEL]
NodeName = Annotated[str, AfterValidator(values.node_name), _AS_LABEL]
Domain = Annotated[str, AfterValidator(values.dns_name), _AS_DOMAIN]
Endpoint = Annotated[str, AfterValidator(hosts.endpoint)]
CertificateName = Annotated[str, AfterValidator(hosts.certificate_name)]
TimeServer = Annotated[str, AfterValidator(hosts.time_server)]
SshHost = Annotated[str, AfterValidator(hosts.ssh_host)]
NodeAddress = Annotated[IPv4Address, BeforeValidator(hosts.node_address), _AS_ADDRESS]
Address = Annotated[IPv4Address, BeforeValidator(hosts.address), _AS_ADDRESS]
CardAddress = Annotated[IPv4Interface, BeforeValidator(hosts.card_address), _AS_NETWORK]
Network = Annotated[IPv4Network, BeforeValidator(hosts.network), _AS_NETWORK]
RoutedNetwork = Annotated[IPv4Network, BeforeValidator(hosts.routed_network), _AS_NETWORK]
Mac = Annotated[str, AfterValidator(values.mac), _AS_MAC]
Port = Annotated[int, AfterValidator(values.port), _AS_PORT]
Seconds = Annotated[int, Field(strict=True)]
YesOrNo = Annotated[bool, Field(strict=True)]
User = Annotated[str, AfterValidator(values.user), _AS_USER]
OwnPath = Annotated[str, AfterValidator(values.path)]
Source = Annotated[str, AfterValidator(values.source), _AS_SOURCE]
Version = Annotated[str, AfterValidator(values.version), _AS_VERSION]
SecretSource = Annotated[str, AfterValidator(values.secret_source), _AS_SECRET]
HostKey = Annotated[str, AfterValidator(public_keys.host_key)]
AuthorizedKey = Annotated[str, AfterValidator(public_keys.authorized_key)]
TrustedKey = Annotated[str, AfterValidator(public_keys.trusted_key)]
DiskName = Annotated[str, AfterValidator(values.disk), _AS_DISK]
LabelKey = Annotated[str, AfterValidator(values.node_label_key)]
LabelValue = Annotated[str, AfterValidator(values.label_value), _AS_LABEL_VALUE]
TaintKey = Annotated[str, AfterValidator(values.taint_key), _AS_LABEL_KEY]
Sysctl = Annotated[str, AfterValidator(values.sysctl)]
OneLine = Annotated[str, AfterValidator(values.line)]
Module = Annotated[str, AfterValidator(values.module), _AS_MODULE]
ConsoleUrl = Annotated[str, AfterValidator(values.console_url), _AS_URL]
FlagValue = Annotated[str, AfterValidator(values.flag_value)]
ApiServerFlags = Annotated[
    dict[Annotated[str, AfterValidator(flags.api_server_flag)], FlagValue], AfterValidator(flags.admission)
]
ControllerManagerFlags = dict[Annotated[str, AfterValidator(flags.controller_manager_flag)], FlagValue]
SchedulerFlags = dict[Annotated[str, AfterValidator(flags.scheduler_flag)], FlagValue]
EtcdFlags = dict[Annotated[str, AfterValidator(flags.etcd_flag)], FlagValue]
KubeletFlags = dict[Annotated[str, AfterValidator(flags.kubelet_flag)], FlagValue]
TaintText = Annotated[str, _AS_TAINT]
