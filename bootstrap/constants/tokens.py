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
# Annotations of a token's Secret: how often it may be used, for which node it is, and the UIDs of the requests for
# certificates that it was used for. Operators and the approver on the servers read and write them.
USES, NODE, USED_BY = "clusterup.dev/uses", "clusterup.dev/node", "clusterup.dev/used-by"
# The ConfigMap with the names that no agent's token gets, one a line, as `clusterup apply` keeps it.
SERVERS, SERVERS_KEY = "clusterup-servers", "servers"
# The Secret with what was made for one server, by its token's id; packed JSON is under the key. What stands in its
# annotation is which machine has used it.
MADE, MADE_KEY, CLAIMED_BY = "clusterup-made-{}", "server.json.gz", "clusterup.dev/claimed-by"
# What it unpacks to, at most: packed, it has room in a Secret, and no server comes near to this.
MADE_BYTES = 64 << 20
