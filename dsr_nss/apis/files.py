"""Files that are written whole or not at all."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsr_nss.datasets.atomic import write_atomically
from dsr_nss.engine.errors import ConfigError


def make_folder(path: str | Path) -> Path:
    """Creates a folder and checks that it can be written, before any work is done for it.

    Raises:
        ConfigError: It cannot; says why.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(f'cannot write to {path} ({error.strerror}); choose another') from error
    return path


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Makes the folder and writes the file whole or not at all."""
    path = Path(path)
    make_folder(path.parent)
    return write_atomically(path, content)


def write_text(path: str | Path, text: str) -> Path:
    """The same for text, in UTF-8."""
    return write_bytes(path, text.encode('utf-8'))


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """JSON with numbers as they are (`float` round-trips) and None as null."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + '\n')
