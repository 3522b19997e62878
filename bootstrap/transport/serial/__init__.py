"""The way into a node over its serial console."""
