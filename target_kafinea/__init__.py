"""Singer target for Kafinea: makes an instance match the records it is sent."""
