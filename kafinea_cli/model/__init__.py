"""`kafinea model`: the modules of an instance, their fields and references, in several formats."""
