"""Loading the records of one stream: in which order, and what is done with each."""
