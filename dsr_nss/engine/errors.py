"""Errors of the engine whose message alone tells the user what to do."""


class ConfigError(ValueError):
    """A config, an option or an environment that training cannot start with."""


class NonFiniteLossError(RuntimeError):
    """A loss term, or the weights, became NaN or infinite; the run was stopped."""
