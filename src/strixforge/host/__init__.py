"""The machine that strixforge runs on."""
