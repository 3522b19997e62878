"""What Kubernetes calls the parts of a bootstrap token, and clusterup its own kinds of tokens.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

# Where tokens' Secrets are, and their type.
TOKENS_NAMESPACE, TOKEN_TYPE = "kube-system", "bootstrap.kubernetes.io/token"
# The group of tokens that kubeadm makes. A kubelet that shows one may ask for a certificate, and clusterup's own
# approver decides whether it gets it, as for the next group: nothing is counted, and new names alone are given.
BOOTSTRAPPERS_GROUP = "system:bootstrappers:kubeadm:default-node-token"
# The group of those that clusterup makes: the approver reads in their Secret how often, and for which node, they are.
LIMITED_GROUP = "system:bootstrappers:clusterup:counted"
# Tokens that a server joins with: their holders can't ask for a kubelet's certificate at all.
SERVER_GROUP = "system:bootstrappers:clusterup:server"
