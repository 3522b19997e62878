"""Releases that are named in more than one room."""

# It will not become another one: no newer source of Kubernetes is in Debian.
DEBIAN_KUBERNETES = "1.20.2"
# The first etcd that keeps a learner's promotion in the store that 3.6 reads, and that mends it where another one did
# not: https://github.com/etcd-io/etcd/issues/19557
KEEPS_VOTES = "3.5.30"
