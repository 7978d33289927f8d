"""Airbyte source for Kafinea: every module as a stream, extracted incrementally."""
