"""The command `kafinea`."""
