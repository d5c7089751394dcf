"""What the models are called in reports. No torch here."""

Names = tuple[str, str]
"""What the map of one date is called, and what that of the whole series."""

NAMES: dict[str, Names] = {
    "unet-convlstm": ("U-NET", "U-NET + ConvLSTM"),
    "unet-attention": ("U-NET, one date", "U-NET + attention"),
}
"""Architecture, or whatever else makes maps -> its names; who adds a model adds them here."""


def register_names(slug: str, names: Names) -> None:
    """Say what a model is called.

    Args:
        slug: The architecture, as maps and runs name it.
        names: Of its map of one date, and of the whole series.
    """
    NAMES[slug] = names


def names_of(slug: str) -> Names:
    """What a model is called; a model that nobody named goes by its slug."""
    return NAMES.get(slug, (f"{slug}, one date", slug))
