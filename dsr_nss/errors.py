"""All errors that a user can cause: each message alone says what is wrong and what to do."""


class ConfigError(ValueError):
    """A config, an option or an environment that training cannot start with."""


class NonFiniteLossError(RuntimeError):
    """A loss term, or the weights, became NaN or infinite; the run was stopped."""


class DataError(ValueError):
    """A file of a data set cannot be used; the message names the file and says what to do.

    The constructor takes the message alone, so that the message survives when a `DataLoader`
    worker hands the exception to the main process.
    """


class CheckpointError(RuntimeError):
    """A file that cannot be read as a checkpoint, or that does not fit the model."""


class StorageError(OSError):
    """A file that could not be written: a full disk, a quota, a missing right.

    Made as `StorageError(errno, sentence)`; the sentence is its text.
    """

    def __str__(self) -> str:
        return str(self.args[-1])


class DemoError(RuntimeError):
    """A step of the demo failed; the message names its command."""


#: What a command line ends with in one sentence: errors of the user's files, settings and machine.
#: Of all others it shows the traceback, because they are ours.
EXPLAINED = (OSError, DataError, ConfigError, CheckpointError, NonFiniteLossError, DemoError)
