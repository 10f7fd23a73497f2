"""Writing weights whole or not at all, with where they come from."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def save_checkpoint_file(path: str | Path, content: Mapping[str, Any]) -> Path:
    """`torch.save` to a neighbouring file first, which then takes the name.

    Args:
        path: The file; its folder is made.
        content: Tensors and plain containers.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    try:
        with partial.open('wb') as file:
            torch.save(dict(content), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
