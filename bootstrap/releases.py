"""Releases that are named in more than one room."""

# It will not become another one: no newer source of Kubernetes is in Debian.
DEBIAN_KUBERNETES = "1.20.2"
