"""A local Kafinea: an HTTP server that behaves like the real one, with a demo company in it."""
