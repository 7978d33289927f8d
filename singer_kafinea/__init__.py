"""What the tap and the target share of Singer: the settings of the connection, and the command."""
