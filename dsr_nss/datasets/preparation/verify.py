"""Are all files of a set usable? By their sizes, or by opening every one of them once."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dsr_nss.datasets.base import RoadSceneDataset
from dsr_nss.datasets.images import (
    check_label_ids,
    check_label_size,
    count_ids,
    read_image,
    read_label,
)
from dsr_nss.datasets.invalid_masks import invalid_mask_file, read_invalid_mask
from dsr_nss.errors import DataError, listing
from dsr_nss.pool import Unusable, try_files


class _File(NamedTuple):
    """A file to open: an image (None), a label of so many classes, or a mask (0)."""

    path: str
    classes: int | None = None


def check_label_sizes(datasets: Iterable[RoadSceneDataset], *, workers: int = 1) -> int:
    """Compares the size of every image with that of its label, by their headers.

    Returns:
        The number of labels.

    Raises:
        DataError: Sizes differ, or files cannot be used; names each of them.
    """
    pairs = dict.fromkeys(
        (info['img_path'], info['seg_map_path'])
        for dataset in datasets
        for info in _infos(dataset)
        if 'seg_map_path' in info
    )
    results = try_files(_compare, pairs, workers=workers, description='sizes')
    _require_none([r.message for r in results if isinstance(r, Unusable)], len(pairs), 'labels')
    return len(pairs)


def verify(datasets: Iterable[RoadSceneDataset], *, workers: int = 1) -> str:
    """Opens every image, label, day reference and mask of sets once, all of it.

    Args:
        datasets: The sets; what they share is opened once.
        workers: Processes.

    Returns:
        A line that says how many files were opened.

    Raises:
        DataError: Files cannot be used, have ids that are no class, or differ in size from their
            image; names each of them, when all have been opened.
    """
    infos: list[tuple[dict, int]] = []
    for dataset in datasets:
        infos += [(info, len(dataset.metainfo['classes'])) for info in _infos(dataset)]
    files = list(dict.fromkeys(file for info, classes in infos for file in _files(info, classes)))
    results = try_files(_open, files, workers=workers, description='verify')
    bad = [result.message for result in results if isinstance(result, Unusable)]
    sizes = {
        file.path: result
        for file, result in zip(files, results, strict=True)
        if not isinstance(result, Unusable)
    }
    for info, classes in infos:
        bad += _other_sizes(info, _files(info, classes), sizes)
    _require_none(bad, len(files), 'files')
    return f'{len(files)} files opened, all usable'


def _require_none(bad: Sequence[str], number: int, what: str) -> None:
    if bad:
        raise DataError(f'{len(bad)} of {number} {what} cannot be used:\n{listing(bad)}')


def _infos(dataset: RoadSceneDataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def _files(info: dict, classes: int) -> list[_File]:
    """The image first."""
    files = [_File(info['img_path'])]
    if info['reference_path'] is not None:
        files.append(_File(info['reference_path']))
    if 'seg_map_path' in info:
        files.append(_File(info['seg_map_path'], classes))
        mask = invalid_mask_file(info['seg_map_path'])
        files += [] if mask is None else [_File(str(mask), 0)]
    return files


def _open(file: _File) -> tuple[int, ...]:
    """(height, width)."""
    if file.classes is None:
        return read_image(file.path).shape[:2]
    if file.classes == 0:
        return read_invalid_mask(file.path).shape
    label = read_label(file.path)
    check_label_ids(count_ids(label), file.path, file.classes)
    return label.shape


def _compare(pair: tuple[str, str]) -> None:
    check_label_size(*pair)


def _other_sizes(
    info: dict, files: Sequence[_File], sizes: dict[str, tuple[int, ...]]
) -> list[str]:
    image = sizes.get(info['img_path'])
    texts = []
    for path, size in ((file.path, sizes.get(file.path)) for file in files[1:]):
        if image is not None and size is not None and size != image:
            pair = ['x'.join(map(str, one)) for one in (size, image)]
            texts.append(f'{path} is {pair[0]} (height x width), but {info["img_path"]} {pair[1]}')
    return texts
