"""Whatever a server answers and an input contains: typed rows, or one clear error.

`FUZZ=100` runs a hundred times as many examples, and other ones each time.
"""
