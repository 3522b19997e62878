"""How large an inventory may be. A reader stops at these limits: what is beyond them is never built."""

from __future__ import annotations

# 5,000 nodes are what Kubernetes itself is made for: https://kubernetes.io/docs/setup/best-practices/cluster-large/
MOST_NODES = 5_000
# Bytes of a file: more than 800 for each of that many nodes.
LONGEST_FILE = 4 << 20
# Keys, lists, mappings and single values, with what an alias stands for counted as often as it is used.
MOST_VALUES = 200_000
# An inventory needs seven levels.
DEEPEST = 16
# Characters of a key and of a single value.
LONGEST_KEY = 512
LONGEST_TEXT = 4_096
# A person reads this many problems at once; the rest is counted.
MOST_PROBLEMS = 50
