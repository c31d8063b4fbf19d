"""Builds a stack again in other circumstances, and compares every byte with the store."""
