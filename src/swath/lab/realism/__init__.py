"""How far simulated images are from real ones."""
