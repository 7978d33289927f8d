"""One installation: its options, users, sessions and clock."""
