"""Scenes: GeoTIFFs of any grid read, warped onto one grid, and written."""
