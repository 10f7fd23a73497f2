"""What comes with the package and is no module: `configs/` and `tools/`.

In a checkout they lie beside the package. A wheel carries them inside it, in `.mim`, as packages of
OpenMMLab do (`setup.py`).
"""

import difflib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSIDE = _PACKAGE / '.mim'

#: Folder that holds `configs/` and `tools/`.
ROOT = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent
#: What a config begins with that comes with the package, wherever it is installed.
PREFIX = 'dsr_nss::'
#: How the files of configs end.
ENDINGS = ('.py', '.json', '.yaml', '.yml')


def config_file(path: str | Path) -> Path:
    """The file of a config: `dsr_nss::demo/dsr_hrda_nightscape.py`, or any path as it stands.

    Args:
        path: A path, or `dsr_nss::` and a path below `configs/`, whose `.py` may be left out.

    Raises:
        FileNotFoundError: No config of that name comes with the package; names the nearest ones.
    """
    named = str(path).startswith(PREFIX) and not str(path).endswith(ENDINGS)
    return shipped_file(f'{path}.py' if named else path)


def shipped_file(path: str | Path) -> Path:
    """`dsr_nss::protocol/source_nightscape.safetensors`, or any path as it stands.

    Raises:
        FileNotFoundError: No such file comes with the package; names the nearest ones.
    """
    name = str(path)
    if not name.startswith(PREFIX):
        return Path(path)
    name, folder = name.removeprefix(PREFIX), ROOT / 'configs'
    if not (folder / name).is_file():
        known = sorted(folder.rglob(f'*{Path(name).suffix or ".py"}'))
        names = [file.relative_to(folder).as_posix() for file in known]
        near = difflib.get_close_matches(name, names, n=3)
        hint = f'did you mean {" or ".join(PREFIX + other for other in near)}?' if near else ''
        raise FileNotFoundError(
            f'file not found: {path}; ' + (hint or f'what comes with the package is in {folder}')
        )
    return folder / name
