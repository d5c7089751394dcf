"""What the models are called in reports. No torch here."""

NAMES: dict[str, tuple[str, str]] = {
    "unet-convlstm": ("U-NET", "U-NET + ConvLSTM"),
    "unet-attention": ("U-NET, one date", "U-NET + attention"),
    "unet-since": ("U-NET, a single date", "U-NET + mean since the last change"),
}
"""Architecture, or whatever else makes maps -> what its map of one date is called, and that of the
whole series; who adds a model adds them here."""


def names_of(slug: str) -> tuple[str, str]:
    """What a model is called; a model that nobody named goes by its slug."""
    return NAMES.get(slug, (f"{slug}, one date", slug))
