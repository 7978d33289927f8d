"""A plan: what a dry run found to be written, and the run that writes that and nothing else."""
