"""A small simulated world: towns laid out by a generator and seen on days of their own light.

Nothing here shows a real place. Figures that rest on it must say: simulated imagery, simulated
roads. The rest of swath sees only what `write_world` leaves behind, which is what a user would
have: a folder a site with GeoTIFFs and road lines, and a sites file for `swath build`.
"""
