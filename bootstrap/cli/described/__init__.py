"""The command line as data, and what is made of it: completion, the list of commands, man pages. Quick to import."""

# The variable with which a shell asks what may follow what was typed: `shells`.
ASKED = "_CLUSTERUP_COMPLETE"
# What a shell says of a program that wrote to a pipe which no one reads any more.
UNREAD = 141
