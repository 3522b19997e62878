"""What this machine brings to clusterup, and what clusterup brings itself."""
