"""Where things lie on a node."""

from __future__ import annotations

KUBERNETES_CA = "/etc/kubernetes/pki/ca.crt"
# What a kubelet tells of itself once, when it makes its Node: the Node itself is what counts after that.
KUBELET_REGISTRATION = "/etc/kubernetes/kubelet-registration"
KUBELET_YAML = "/etc/kubernetes/kubelet.yaml"
# The same, and what is kept from pods on this machine: made at each start of the kubelet, by the script.
KUBELET_SETTINGS, KUBELET_SETTINGS_SCRIPT = "/run/clusterup/kubelet.yaml", "/etc/clusterup/kubelet-settings"
# Below /var, because it holds the paths of a certificate that outlives a reboot; /etc is made again at each boot.
KUBELET_CONF = "/var/lib/kubelet/kubelet.conf"
BOOTSTRAP_CONF = "/var/lib/kubelet/bootstrap-kubelet.conf"
KUBELET_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
# The key of a certificate that a kubelet asks for. It names its request after it, and takes what was answered to that:
# one that was denied keeps it from asking again.
KUBELET_PENDING_KEY = "/var/lib/kubelet/pki/kubelet-client.key.tmp"
PROXY_YAML = "/etc/kubernetes/kube-proxy.yaml"
PROXY_CONF = "/etc/kubernetes/kube-proxy.conf"
NETWORK_JSON = "/etc/clusterup/network.json"
ETCD_PKI = "/etc/kubernetes/pki/etcd"
ETCD_DATA = "/var/lib/etcd"
ETCD_BIRTH = "/var/lib/clusterup/etcd-birth"
KUBERNETES_PKI = "/etc/kubernetes/pki"
CONTROLLER_MANAGER_CONF = "/etc/kubernetes/controller-manager.conf"
SCHEDULER_CONF = "/etc/kubernetes/scheduler.conf"
APPROVER_JSON = "/etc/clusterup/approver.json"
ENCRYPTION_YAML = "/etc/kubernetes/encryption.yaml"
PAYLOADS = "/var/lib/clusterup/payloads"
PAYLOAD_LINK = "/var/lib/extensions/clusterup.raw"
IMAGES_FOLDER = "/var/lib/clusterup/images"
# What is below /etc is made again at each boot out of the image and this folder.
KEPT_ETC = "/var/lib/clusterup"
PAYLOAD_FILE = "/etc/clusterup/payload"
WANTS_FILE = "/etc/systemd/system/multi-user.target.d/10-clusterup.conf"
# Below /var, because it has to outlive a reboot.
HANDOVER = "/var/lib/clusterup/handover.json"
UNIT_FOLDER = "/etc/systemd/system"
APPLIED_FOLDER = "/run/clusterup/applied"
CLEANING = "/var/lib/clusterup/cleaning"
"""What is being removed from a node; there until nothing else is left to remove."""
# Public keys, one a line: what this node fetches for itself has to be of a bundle that one of them signed.
TRUSTED_KEYS = "/etc/clusterup/trusted_keys"
ARTIFACTS_JSON = "/etc/clusterup/artifacts.json"
# The cluster's DNS on each node: unbound, how it is told things, and what it knew for its next start.
DNS_CONF = "/etc/clusterup/unbound.conf"
DNS_CONTROL_CONF = "/etc/clusterup/unbound-control.conf"
DNS_RULES = "/etc/clusterup/dns.nft"
DNS_SOCKET = "/run/clusterup-dns/control"
DNS_KNOWN = "/var/lib/clusterup/dns/names.conf"
"""Where the agent keeps it. /var/lib/clusterup is root's alone: unbound reads a copy."""
DNS_LOADED = "/run/clusterup-dns/names.conf"
# A folder for each volume of the cluster that is on this node.
VOLUMES = "/var/lib/clusterup/volumes"
VOLUMES_MOUNT = "/etc/clusterup/volumes-mount"
