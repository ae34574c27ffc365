"""Comparisons: a specification becomes runs, runs become results."""
