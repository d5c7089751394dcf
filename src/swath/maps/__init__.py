"""The MAPS folder as a value: its rasters, manifest, item, vectors and changes. No torch."""
