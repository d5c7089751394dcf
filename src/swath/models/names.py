"""What the models are called in reports. No torch here."""

NAMES: dict[str, tuple[str, str]] = {
    "unet-convlstm": ("U-NET", "U-NET + ConvLSTM"),
    "unet-attention": ("U-NET, one date", "U-NET + attention"),
    "segnet-convlstm": ("SegNet", "SegNet + ConvLSTM"),
    "deeplab-convlstm": ("DeepLabV3+", "DeepLabV3+ + ConvLSTM"),
    "early-fusion": ("early fusion, one date", "early fusion"),
    "feature-mean": ("feature mean, one date", "feature mean"),
    "feature-convlstm": ("feature ConvLSTM, one date", "feature ConvLSTM"),
    "u-tae": ("U-TAE, one date", "U-TAE"),
    "tempcnn": ("TempCNN, one date", "TempCNN"),
    "pixel-lstm": ("pixel LSTM, one date", "pixel LSTM"),
    "random-forest": ("random forest, one date", "random forest"),
    "svm-linear": ("linear SVM, one date", "linear SVM"),
    "svm-rbf": ("RBF SVM, one date", "RBF SVM"),
    "knn": ("k nearest neighbours, one date", "k nearest neighbours"),
    "maximum-likelihood": ("maximum likelihood, one date", "maximum likelihood"),
    "logistic-regression": ("logistic regression, one date", "logistic regression"),
}
"""Architecture, or classical method -> names of its map of one date, and of the whole series."""
