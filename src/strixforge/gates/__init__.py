"""What a staged wheelhouse must pass before it becomes the wheelhouse: one module a gate."""
