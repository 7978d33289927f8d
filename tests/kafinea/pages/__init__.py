"""Pages of a module, from a server within the process: so thousands of cases take seconds."""
