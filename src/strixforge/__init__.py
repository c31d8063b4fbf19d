"""strixforge builds vLLM for AMD Strix Halo (gfx1151) from pinned source."""
