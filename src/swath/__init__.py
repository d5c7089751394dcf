"""swath: road and land cover maps from time series of Sentinel-2 images.

Nothing heavy is imported here: torch comes in with `swath.models`, `swath.training` and
`swath.mapping` only.
"""

__version__ = "0.1.0"
