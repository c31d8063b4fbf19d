"""Artifacts by key: records (key to output digest) and objects (trees by digest)."""
