"""The smoke test: what is installed runs on the GPU of this machine, and the kernel is content."""
