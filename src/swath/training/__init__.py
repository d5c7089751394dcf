"""Training: presets, the loss, the two stages, fitting them, and the run as a whole."""
