"""What is inside built files: code objects, their targets and kernels, and the gates on them."""
