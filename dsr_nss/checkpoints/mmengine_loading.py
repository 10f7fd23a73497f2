"""mmengine's loading of weights, restricted to data.

The start weights of mmseg's own encoders (`init_cfg=dict(type='Pretrained', ...)`) and mmseg's
`init_model` read files through mmengine, which falls back to unrestricted unpickling; its runner
also executes a text that they hold when it resumes. mmengine lets the reader of a scheme be
replaced; this is done once, when `dsr_nss` is imported. Names such as `open-mmlab://resnet50_v1c`
stand for addresses in lists of mmengine, which then calls its own reader of addresses by name.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_distributed
from mmengine.runner import CheckpointLoader, checkpoint

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.errors import CheckpointError
from dsr_nss.shipped import shipped_file

#: Entry of `meta` that mmengine's runner executes as a Python config when it resumes. (mmengine
#: itself writes `cfg`; files of mmseg 0.x hold `config`.)
EXECUTED_BY_MMENGINE = 'config'
#: Schemes of stores, under the names that mmengine gives them.
_UNREAD = ('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://')


def restrict_mmengine_loading() -> None:
    """Makes mmengine read local and downloaded files through `load_checkpoint_file`."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    checkpoint.load_from_http = load_from_http
    checkpoint._safe_torch_load = _load_unasked  # of files that its lists of names lead to
    CheckpointLoader.register_scheme(_UNREAD, refuse, force=True)


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """A local file. (mmengine logs the end of this function's name.)"""
    return _load(Path(filename).expanduser(), map_location)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """A file from the net."""
    return _load(local_file(filename), map_location)


def refuse(filename: str, map_location: Any = None) -> dict:
    """Raises `CheckpointError`: what these schemes fetch would be unpickled without restriction."""
    raise CheckpointError(f'{filename}: get the file from its store and name its path')


def is_address(file: str | Path) -> bool:
    """Whether a config names something in the net instead of a file."""
    return '://' in str(file)


def local_file(file: str | Path) -> Path:
    """The file, also of `dsr_nss::NAME`; that of an address is fetched once and kept by torch.

    Raises:
        FileNotFoundError: No file of that name comes with the package.
        CheckpointError: The address is of a kind that is not fetched, or cannot be reached.
    """
    address = str(file)
    if not is_address(address):
        return shipped_file(file)
    if not address.startswith(('http://', 'https://')):
        raise CheckpointError(
            f'{address} is no address that is fetched here (http or https); name a file'
        )
    path = Path(torch.hub.get_dir()) / 'checkpoints' / _kept_as(address)
    first = not is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'  # of this machine
    if first and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path))
        except OSError as error:
            raise CheckpointError(
                f'{address} cannot be fetched ({error}); get the file and name its path'
            ) from error
    barrier()
    return path


def _kept_as(address: str) -> str:
    """Files that are called `model.pth` lie at many addresses; a digest in a name says which."""
    name = Path(urlparse(address).path).name
    if re.search(r'-[0-9a-f]{8,}\.\w+$', name):
        return name
    return f'{hashlib.sha256(address.encode()).hexdigest()[:16]}_{name[-100:]}'


def _load_unasked(file: str, map_location: Any = None, **_: Any) -> dict:
    """In place of mmengine's reader, which falls back to one without protection."""
    return _load(Path(file), map_location)


def _load(path: Path, map_location: Any) -> dict:
    content = load_checkpoint_file(path, map_location or 'cpu')
    if isinstance(content.get('meta'), dict):
        content['meta'].pop(EXECUTED_BY_MMENGINE, None)
    return content
