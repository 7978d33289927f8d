"""The query language VTQL."""
