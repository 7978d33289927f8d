"""What `kafinea check` finds out about an instance, without writing to it."""
