"""Simulated Sentinel-2 images: a layout of vectors, seen on days of their own light.

A layout comes from OpenStreetMap (`swath simulate`) or from a generator of towns (`swath demo`);
all that follows is the same. Figures that rest on it must say: simulated imagery. The rest of swath
sees only what is left in the folder, which is what a user would have: GeoTIFFs, vectors and a sites
file.
"""
