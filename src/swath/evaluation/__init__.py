"""Evaluation: scores of maps against labels, and the report."""
