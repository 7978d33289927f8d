"""What `kafinea init` asks for, and the file `.env` that it writes."""
