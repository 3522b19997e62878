"""What is wrong with a cluster and its nodes, why, and which command mends it. It changes nothing."""
