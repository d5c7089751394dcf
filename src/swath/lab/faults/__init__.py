"""Faults on purpose: commands that are killed or starved, run again, and compared with undisturbed ones."""
