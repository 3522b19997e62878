"""One file that is clusterup: Python, libraries and the few programs that it needs, behind a head that starts them."""
