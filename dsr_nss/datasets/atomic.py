"""Writing a file whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Writes `content` to a temporary file beside `path` and moves it there.

    An interrupted program leaves the old file or none, never half of one.

    Args:
        path: The file to make; its folder exists.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        `path`.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp makes it private; other users may share the data
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
