"""Which command line flags of Kubernetes' and etcd's programs an inventory may set.

What clusterup sets itself, or builds on, is refused: replaced without a word it would open the cluster or break it.
`DEFAULTS` are those that it only has an opinion about. A test compares both with the units.
Sources: https://kubernetes.io/docs/reference/command-line-tools-reference/ and
https://etcd.io/docs/v3.5/op-guide/configuration/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from bootstrap.inventory.text import unprintable_in
from bootstrap.inventory.values import wrong

# Kubernetes' own programs take a _ for a -: written like that, a flag would get past the names below.
FLAG = r"[a-z][a-z0-9]*([.-][a-z0-9]+)*"
LONGEST_FLAG = 100
ADMISSION, NOT_ADMITTED = "enable-admission-plugins", "disable-admission-plugins"
NODE_RESTRICTION = "NodeRestriction"


class FlagsOf(StrEnum):
    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    ETCD = "etcd"
    KUBELET = "kubelet"


_OUT = "leave it out"
_SAFE = f"{_OUT}: who may do what depends on it"
_PKI = f"{_OUT}: clusterup makes these certificates and keys, and renews them"
_ADDRESS = f"{_OUT}, and set the node's `address`"
_NAME = f"{_OUT}, and set the node's `name`"
_JOINING = f"{_OUT}: nodes join with it"
_QUORUM = f"{_OUT}: clusterup looks after the members of the quorum"
_PLACE = f"{_OUT}: what keeps, checks and removes the data knows this place alone"
_PORT = f"{_OUT}: the nodes' load balancers and operators connect there"
_SERVICES = f"{_OUT}, and set cluster.service_cidr"
_PODS = f"{_OUT}, and set cluster.pod_cidr"
_DOMAIN = f"{_OUT}, and set cluster.domain"
_CLUSTER = f"{_OUT}, and set cluster.name"
_API = f"{_OUT}: it leads to the API server, and shows who asks"
_FILE = f"{_OUT}: a file of settings would replace all that clusterup sets"
_RUNTIME = f"{_OUT}: the node's container runtime is set up with it"


def _all(advice: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, advice)


OWN: Mapping[FlagsOf, Mapping[str, str]] = {
    FlagsOf.API_SERVER: {
        **_all(_ADDRESS, "advertise-address"),
        **_all(f"{_OUT}: the cluster's own pods need it", "allow-privileged"),
        **_all(_SAFE, "anonymous-auth", "authentication-config", "authorization-config", "authorization-mode"),
        **_all(_SAFE, "basic-auth-file", "token-auth-file"),
        **_all(_PKI, "client-ca-file", "kubelet-client-certificate", "kubelet-client-key", "tls-cert-file"),
        **_all(_PKI, "tls-private-key-file", "proxy-client-cert-file", "proxy-client-key-file"),
        **_all(_PKI, "requestheader-allowed-names", "requestheader-client-ca-file", "service-account-key-file"),
        **_all(_SAFE, "requestheader-extra-headers-prefix", "requestheader-group-headers"),
        **_all(_SAFE, "requestheader-username-headers"),
        **_all(_PKI, "service-account-signing-key-file", "etcd-cafile", "etcd-certfile", "etcd-keyfile"),
        **_all(_JOINING, "enable-bootstrap-token-auth"),
        **_all(f"{_OUT}: Secrets are encrypted with it", "encryption-provider-config"),
        **_all(_PLACE, "etcd-prefix", "etcd-servers", "etcd-servers-overrides", "storage-backend"),
        **_all(f"{_OUT}: logs and exec reach kubelets by it", "kubelet-preferred-address-types"),
        **_all(_PORT, "secure-port", "bind-address", "insecure-port", "insecure-bind-address"),
        **_all(_SERVICES, "service-cluster-ip-range"),
    },
    FlagsOf.CONTROLLER_MANAGER: {
        **_all(_PODS, "allocate-node-cidrs", "cluster-cidr"),
        **_all(_API, "authentication-kubeconfig", "authorization-kubeconfig", "kubeconfig", "master"),
        **_all(_PKI, "client-ca-file", "requestheader-client-ca-file", "root-ca-file"),
        **_all(_PKI, "service-account-private-key-file"),
        **_all(
            _PKI,
            *(
                f"cluster-signing-{kind}{half}-file"
                for kind in ("", "kube-apiserver-client-", "kubelet-client-", "kubelet-serving-", "legacy-unknown-")
                for half in ("cert", "key")
            ),
        ),
        **_all(_CLUSTER, "cluster-name"),
        **_all(_JOINING, "controllers"),
        **_all(f"{_OUT}: one of several control planes leads at a time", "leader-elect"),
        **_all(_SERVICES, "service-cluster-ip-range"),
        **_all(_SAFE, "use-service-account-credentials", "port", "address"),
    },
    FlagsOf.SCHEDULER: {
        **_all(_API, "authentication-kubeconfig", "authorization-kubeconfig", "kubeconfig", "master"),
        **_all(f"{_OUT}: one of several control planes leads at a time", "leader-elect"),
        **_all(_SAFE, "port", "address"),
        **_all(_FILE, "config"),
    },
    FlagsOf.ETCD: {
        **_all(_NAME, "name"),
        **_all(_PLACE, "data-dir", "wal-dir"),
        **_all(_ADDRESS, "listen-client-urls", "advertise-client-urls", "listen-peer-urls"),
        **_all(_ADDRESS, "initial-advertise-peer-urls"),
        **_all(_CLUSTER, "initial-cluster-token"),
        **_all(_QUORUM, "initial-cluster", "initial-cluster-state", "force-new-cluster", "strict-reconfig-check"),
        **_all(_QUORUM, "proxy", "discovery", "discovery-srv", "discovery-srv-name", "discovery-proxy"),
        **_all(_QUORUM, "discovery-fallback", "discovery-token", "discovery-endpoints"),
        **_all(_PKI, "cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file"),
        **_all(_PKI, "peer-trusted-ca-file", "auto-tls", "peer-auto-tls", "ca-file", "peer-ca-file"),
        **_all(_SAFE, "client-cert-auth", "peer-client-cert-auth"),
        **_all(_FILE, "config-file"),
    },
    FlagsOf.KUBELET: {
        **_all(_API, "bootstrap-kubeconfig", "kubeconfig", "cert-dir"),
        **_all(_FILE, "config", "config-dir", "dynamic-config-dir"),
        **_all(_RUNTIME, "container-runtime", "container-runtime-endpoint", "cgroup-driver", "network-plugin"),
        **_all(_RUNTIME, "pod-infra-container-image"),
        **_all(_NAME, "hostname-override"),
        **_all(_ADDRESS, "node-ip"),
        **_all(f"{_OUT}, and set the node's `labels`", "node-labels"),
        **_all(f"{_OUT}, and set the node's `taints`", "register-with-taints"),
        **_all(_JOINING, "register-node"),
        **_all(_PLACE, "root-dir"),
        **_all(_SAFE, "anonymous-auth", "authentication-token-webhook", "authorization-mode"),
        **_all(_PKI, "client-ca-file", "rotate-certificates"),
        **_all(_DOMAIN, "cluster-domain"),
    },
}
"""Flags that clusterup sets (on the command line, in the kubelet's file of settings, in etcd's environment) or builds
on, and what to do instead of setting them."""

DEFAULTS: Mapping[FlagsOf, frozenset[str]] = {
    # What is said here is added to clusterup's own.
    FlagsOf.API_SERVER: frozenset({ADMISSION, "service-account-issuer"}),
    FlagsOf.CONTROLLER_MANAGER: frozenset({"bind-address"}),
    FlagsOf.SCHEDULER: frozenset({"bind-address"}),
    FlagsOf.ETCD: frozenset(
        {
            "auto-compaction-retention",
            "listen-metrics-urls",
            "snapshot-count",
            "heartbeat-interval",
            "election-timeout",
            "logger",
            "log-level",
        }
    ),
    FlagsOf.KUBELET: frozenset(
        {
            *("runtime-request-timeout", "cluster-dns", "resolv-conf"),
            # What keeps a small machine alive.
            *("container-log-max-files", "container-log-max-size", "eviction-hard", "image-gc-high-threshold"),
            *("image-gc-low-threshold", "pod-max-pids", "system-reserved"),
        }
    ),
}
"""Flags that clusterup sets and that an inventory may set otherwise."""


def _flag(program: FlagsOf, text: str) -> str:
    if len(text) > LONGEST_FLAG or unprintable_in(text) is not None or not re.fullmatch(FLAG, text):
        bare = text.lstrip("-").replace("_", "-") if len(text) <= LONGEST_FLAG else ""
        raise wrong(
            "this is not the name of a flag",
            "a flag without the dashes before it, in lower case and with dashes inside, as in v or feature-gates",
            bare if re.fullmatch(FLAG, bare) else "",
        )
    if text in OWN[program]:
        raise wrong(f"clusterup sets --{text} of {program.value} itself", OWN[program][text])
    return text


def api_server_flag(text: str) -> str:
    """A flag of kube-apiserver that an inventory may set."""
    return _flag(FlagsOf.API_SERVER, text)


def controller_manager_flag(text: str) -> str:
    """A flag of kube-controller-manager that an inventory may set."""
    return _flag(FlagsOf.CONTROLLER_MANAGER, text)


def scheduler_flag(text: str) -> str:
    """A flag of kube-scheduler that an inventory may set."""
    return _flag(FlagsOf.SCHEDULER, text)


def etcd_flag(text: str) -> str:
    """A flag of etcd that an inventory may set."""
    return _flag(FlagsOf.ETCD, text)


def kubelet_flag(text: str) -> str:
    """A flag of the kubelet that an inventory may set."""
    return _flag(FlagsOf.KUBELET, text)


def admission(flags: Mapping[str, str]) -> Mapping[str, str]:
    """Flags of kube-apiserver that leave on what keeps kubelets from what is not theirs."""
    if NODE_RESTRICTION in flags.get(NOT_ADMITTED, "").split(","):
        raise wrong(f"--{NOT_ADMITTED} turns {NODE_RESTRICTION} off", f"the others: {_SAFE}")
    return flags


def with_admission(given: str, more: Mapping[str, str]) -> dict[str, str]:
    """The flags `more` of kube-apiserver, with the plugins `given` among those that it turns on."""
    if ADMISSION not in more:
        return dict(more)
    names = dict.fromkeys(name.strip() for name in f"{given},{more[ADMISSION]}".split(","))
    return {**more, ADMISSION: ",".join(name for name in names if name)}
