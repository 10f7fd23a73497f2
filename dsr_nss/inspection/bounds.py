"""Installed packages that are older or newer than the bounds which this package declares.

pip looks at the bounds when it installs, and no later: another installation may have replaced a
package since then, and `--no-deps` asks nobody.
"""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

#: What only changes of the code need.
_EXTRAS_OF_DEVELOPERS = {'docs', 'tests'}


def out_of_bounds() -> Iterator[tuple[str, bool]]:
    """Compares what is installed with the metadata of the installed `dsr_nss`.

    Packages that are not installed are passed over, and so is a checkout that never was installed.

    Yields:
        A sentence that says what to do, and whether the package is needed everywhere; others
        belong to an extra.
    """
    try:
        declared = metadata.metadata('dsr_nss')
    except metadata.PackageNotFoundError:
        return
    extras = {*(declared.get_all('Provides-Extra') or ()), ''} - _EXTRAS_OF_DEVELOPERS
    for requirement in map(Requirement, declared.get_all('Requires-Dist') or ()):
        marker = requirement.marker
        for_extras = {name for name in extras if marker is None or marker.evaluate({'extra': name})}
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        if for_extras and not requirement.specifier.contains(version, prereleases=True):
            wanted = f'{requirement.name}{requirement.specifier}'
            yield (
                f'{requirement.name} {version} is installed, but dsr_nss needs {wanted}: '
                f"`pip install '{wanted}'`",
                '' in for_extras,
            )
