"""Evaluation: how right linkage is, against a truth file, and its costliest mistakes."""
