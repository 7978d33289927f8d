"""Singer tap for Kafinea: every module as a stream, extracted incrementally."""
