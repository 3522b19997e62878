"""clusterup lab: virtual machines, and putting them aside."""
