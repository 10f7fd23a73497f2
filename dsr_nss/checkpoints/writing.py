"""Writing weights whole or not at all, with where they come from."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from dsr_nss.files import atomic_file, remove_abandoned

#: Under this name the header of a safetensors file holds `meta`, as JSON.
META = 'dsr_nss'


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def content_digest(path: str | Path) -> str:
    """What tells the content of a weight file from another's, in a moment for large files as well.

    SHA-256 in hexadecimal: of a torch file over the names, sizes and CRC-32 of its entries, of
    another file over all of it.
    """
    if not zipfile.is_zipfile(path):
        return sha256_of(path)
    with zipfile.ZipFile(path) as file:
        entries = [(entry.filename, entry.file_size, entry.CRC) for entry in file.infolist()]
    return hashlib.sha256(repr(entries).encode()).hexdigest()


def save_checkpoint_file(path: str | Path, content: Mapping[str, Any]) -> Path:
    """`torch.save`, or safetensors where the name ends so, whole or not at all.

    Args:
        path: The file; its folder is made.
        content: Tensors and plain containers. For safetensors `state_dict`, and `meta` of what JSON
            can hold.

    Raises:
        StorageError: It cannot be written, for instance on a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned([path])
    with atomic_file(path) as file:
        if path.suffix == '.safetensors':
            header = {'format': 'pt', META: json.dumps(content['meta'])}
            # it refuses tensors that share their memory
            state = {name: value.clone() for name, value in content['state_dict'].items()}
            file.write(safetensors.torch.save(state, header))
        else:
            torch.save(dict(content), file)
    return path
