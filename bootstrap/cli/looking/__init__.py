"""What there is of a cluster, and what happens on it: commands that change nothing."""
