"""Frozen, typed data and its loading. Imports nothing else of strixforge."""
