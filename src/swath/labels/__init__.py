"""Labels: vector features chosen by a legend and burnt onto a grid."""
