"""Disk images: what lies where in one, how it is packed and copied, and the configuration that goes with it."""
