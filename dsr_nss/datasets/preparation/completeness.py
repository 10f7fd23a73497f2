"""Is a download whole? Which archive or folder is missing?"""

from dataclasses import dataclass
from pathlib import Path

from dsr_nss.datasets.base import files_below
from dsr_nss.datasets.published import PUBLISHED, Part
from dsr_nss.errors import DataError


@dataclass(frozen=True)
class Finding:
    """What is there of one published folder.

    Attributes:
        part: The folder.
        found: Number of files; None if the folder does not exist.
    """

    part: Part
    found: int | None

    @property
    def complete(self) -> bool:
        """Whether all published files are there."""
        return self.found is not None and self.found >= self.part.count

    def __str__(self) -> str:
        found = 'missing' if self.found is None else f'{self.found} of {self.part.count}'
        note = '' if self.part.required else ' (optional)'
        source = '' if self.complete else f' - from {self.part.archive}'
        return f'{self.part.folder}: {found}{note}{source}'


def count_files(folder: Path, endings: tuple[str, ...]) -> int:
    """Number of images or labels below a folder; several forms of one label count once."""
    stems = set()
    for path in files_below(folder):
        for ending in endings:
            if path.name.endswith(ending):
                stems.add(path.relative_to(folder).as_posix().removesuffix(ending))
    return len(stems)


def inspect(name: str, root: Path) -> list[Finding]:
    """Counts the files of every folder of a published set.

    Args:
        name: Key of `PUBLISHED`.
        root: Root of the set.
    """
    findings = []
    for part in PUBLISHED[name].parts:
        folder = root / part.folder
        found = count_files(folder, part.files) if folder.is_dir() else None
        findings.append(Finding(part, found))
    return findings


def require_complete(name: str, root: Path, subset: bool) -> list[Finding]:
    """Checks that all required folders of a set are there, and complete.

    Args:
        name: Key of `PUBLISHED`.
        root: Root of the set.
        subset: Whether fewer files than published are meant.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: Folders are missing; the message lists each with its archive.
        DataError: Folders have fewer files than published, and `subset` is not set.
    """
    published = PUBLISHED[name]
    if not root.is_dir():
        archives = sorted({part.archive for part in published.parts if part.required})
        raise FileNotFoundError(
            f'{published.title}: {root} does not exist. Get {", ".join(archives)} from '
            f'{published.link} and unpack them into it.'
        )
    findings = inspect(name, root)
    required = [finding for finding in findings if finding.part.required]
    missing = [finding for finding in required if not finding.found]
    if missing:
        lines = ''.join(f'\n  {f.part.folder} (from {f.part.archive})' for f in missing)
        raise FileNotFoundError(
            f'{published.title}: missing or empty below {root}:{lines}\n'
            f'Get it from {published.link} and unpack it into {root}.'
        )
    partial = [finding for finding in required if not finding.complete]
    if partial and not subset:
        lines = ''.join(f'\n  {finding}' for finding in partial)
        raise DataError(
            f'{published.title}: fewer files than published below {root}:{lines}\n'
            'Unpack the archives again; if a part of the set is meant, add --subset.'
        )
    return findings
