"""The sites file: what users write of their places, read once."""
