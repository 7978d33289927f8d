"""What versions have written, in a folder for each, and the proof that this version reads it."""
