"""What `--cfg-options` says: which values the texts of a command line mean."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mmengine.config import DictAction

from dsr_nss.errors import ConfigError

#: Dotted key -> value, or texts `KEY=VALUE` as they were typed.
Options: TypeAlias = Mapping[str, Any] | Sequence[str]


def option_values(options: Options | None) -> dict[str, Any]:
    """Dotted key -> value; mmengine says what a text means: `(1,2)` is a tuple, `1e-3` a float.

    Raises:
        ConfigError: A text without `=`, or with brackets that do not match.
    """
    if options is None or isinstance(options, Mapping):
        return dict(options or {})
    read = DictAction((), 'values')
    parsed = argparse.Namespace()
    for text in options:
        if '=' not in text:
            raise ConfigError(f'--cfg-options {text}: write KEY=VALUE')
        if re.search(r'\bdict\(|^[\[(]*\{', text.partition('=')[2]):
            raise ConfigError(
                f'--cfg-options {text}: a value is a number, a word or a list of these; state its '
                'fields one by one (KEY.FIELD=VALUE), or in a config or an overlay (--with)'
            )
        try:
            read(argparse.ArgumentParser(), parsed, [text])
        except (AssertionError, RecursionError) as error:
            raise ConfigError(f'--cfg-options {text}: {error}') from error
    return dict(getattr(parsed, 'values', {}))
