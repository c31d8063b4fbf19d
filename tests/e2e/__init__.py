"""The real commands, on tiny projects."""
