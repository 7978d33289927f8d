"""What else one would run: each written plainly, as its own documentation shows it."""
