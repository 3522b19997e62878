"""What both sides of a join have to agree on: the operator's clusterup, and the agent on a node.

It stands on the standard library alone. How a question is asked where the two differ is passed in.
"""
