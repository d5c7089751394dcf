"""Further days of real places, made from two of their images."""
