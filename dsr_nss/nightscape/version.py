"""Version of the Nightscape generator: part of every random seed and of every written set."""

#: Raise it with any change that alters a pixel or a label (see docs/nightscape.md).
NIGHTSCAPE_VERSION = 1
