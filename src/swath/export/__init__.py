"""Trained networks as graphs that need neither swath nor PyTorch: ONNX files, their card and their item."""
