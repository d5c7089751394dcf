"""Maps beside OpenStreetMap: what both have, what only one has, and what a mapper is given of it."""
