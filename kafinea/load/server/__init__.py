"""What servers of this family do to what they are sent, and what a run learns of its own."""
