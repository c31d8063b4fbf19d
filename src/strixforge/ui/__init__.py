"""What a person sees: one line for each thing done, live lines on a terminal, one failure block."""

PREFLIGHT = "_preflight"
"""The task that all others wait for: after its failure nothing was begun."""
