"""The modules and their fields."""
