"""Singer loaders for DuckDB and PostgreSQL that keep every value exact, for any tap.

The database reads the records itself: a record stays the bytes of its line, unless the database
would read one of its values inexactly. See `rows` for which those are.
"""
