"""What measures the method: comparisons, speed, stability, realism, rivals."""
