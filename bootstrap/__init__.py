"""clusterup: bare machines to a Kubernetes cluster on a micro OS."""

__version__ = "0.1.0"
