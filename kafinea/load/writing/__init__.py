"""Writing one record: what is sent, and the proof that nothing else changed."""
