"""From data to a plan: components in order, their recipes evaluated, their key documents.

No network, no writes.
"""
