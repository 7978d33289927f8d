"""The errors that end a run with one line and exit code 1."""


class LoaderError(Exception):
    """The run cannot continue. The text says what to do, and shows nothing of a record."""
