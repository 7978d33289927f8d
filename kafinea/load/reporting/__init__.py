"""What a run leaves: counts, and files of lines of JSON."""
