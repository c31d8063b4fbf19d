"""A ROCm: what it says of itself, where its parts lie, and what of it can change an output."""
