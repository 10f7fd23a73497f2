"""The exception of everything that is wrong with a user's data."""


class DataError(ValueError):
    """A file of a data set cannot be used; the message names the file and says what to do.

    The constructor takes the message alone, so that the message survives when a `DataLoader`
    worker hands the exception to the main process.
    """
