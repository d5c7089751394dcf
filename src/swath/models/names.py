"""What the models are called in reports. No torch here."""

NAMES: dict[str, tuple[str, str]] = {
    "unet-convlstm": ("U-NET", "U-NET + ConvLSTM"),
    "segnet-convlstm": ("SegNet", "SegNet + ConvLSTM"),
    "deeplab-convlstm": ("DeepLabV3+", "DeepLabV3+ + ConvLSTM"),
    "early-fusion": ("early fusion, one date", "early fusion"),
    "feature-convlstm": ("feature ConvLSTM, one date", "feature ConvLSTM"),
    "u-tae": ("U-TAE, one date", "U-TAE"),
    "tempcnn": ("TempCNN, one date", "TempCNN"),
    "pixel-lstm": ("pixel LSTM, one date", "pixel LSTM"),
}
"""Architecture -> what its map of one date, and its map of the whole series, are called."""
