"""What is made from finished maps: vectors and the STAC item."""
