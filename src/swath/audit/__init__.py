"""Labels against images: how good the labels of a dataset are."""
