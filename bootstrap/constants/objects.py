"""Names, labels and annotations of the objects that clusterup keeps in a cluster."""

from __future__ import annotations

# The role of a server in Kubernetes' words: a label of its Node, and the key of the taint that keeps pods away from it.
# Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane-taint
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# Which labels and taints of a Node came from the inventory; and where earlier versions wrote that.
GIVEN_ANNOTATION, OLD_GIVEN_ANNOTATION = "clusterup.dev/given", "clusterup.io/given"
# Since when a Node is leaving (ISO 8601).
LEAVING_ANNOTATION = "clusterup.dev/leaving"
# What all of them carry, so that they are found by one question for each kind, however many others there are.
# Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
KEPT_LABEL = {"app.kubernetes.io/managed-by": "clusterup"}
# What is taken out of every cluster, by kind and name, and why. kube-controller-manager says yes to whatever name a
# token asks for with it: `kubeadm init` makes it, and so did clusterup before its approver decided about all tokens.
UNWANTED = {
    ("ClusterRoleBinding", "kubeadm:node-autoapprove-bootstrap"): "lets any token take the name of any node",
}
# The Service that holds the address of the cluster's DNS, under the name that everybody looks for.
DNS_SERVICE, DNS_NAMESPACE = "kube-dns", "kube-system"
JOIN_MANIFEST, JOIN_MANIFEST_NAMESPACE, JOIN_MANIFEST_KEY = "clusterup-agent", "kube-system", "agent.json"
KUBELET_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
RBAC_GROUP = "rbac.authorization.k8s.io"
APPROVER_USER = "clusterup:approver"
# Who parts of the control plane are to the API server.
# Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
CONTROLLER_MANAGER_USER = "system:kube-controller-manager"
SCHEDULER_USER = "system:kube-scheduler"
# Who makes volumes, as classes of storage name it, and the class that every cluster has.
PROVISIONER, STORAGE_CLASS = "clusterup.dev/local", "local"
# The role that lets the agents of nodes do it.
NODE_VOLUMES = "clusterup:node-volumes"
