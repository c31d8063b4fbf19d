"""Loads the whole demo stack and reports every GPU kernel in it."""
