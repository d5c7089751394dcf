"""Datasets: building them from scenes and labels, reading them, and cutting patches."""
