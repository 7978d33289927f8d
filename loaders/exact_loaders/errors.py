"""The errors that end a run with one line."""


class LoaderError(Exception):
    """The run cannot continue: the exit code is 1.

    The text says what to do, and shows nothing of a record.
    """


class CorrectFirst(LoaderError):
    """A retry fails again, until a person has corrected something: the exit code is 2."""
