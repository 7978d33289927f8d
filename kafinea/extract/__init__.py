"""What to read next, and reading it: passes, checkpoints, lines, deletions, relations, files."""
