"""The data in SQLite."""
