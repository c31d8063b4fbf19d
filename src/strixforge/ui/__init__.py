"""What a person sees: one line for each thing done, live lines on a terminal, one failure block."""
