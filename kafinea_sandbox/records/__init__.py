"""Reading and writing records, with all that the servers change on the way."""
