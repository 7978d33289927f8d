"""Matching, comparing, checking and writing records, and what became of each."""
