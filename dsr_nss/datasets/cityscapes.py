"""Cityscapes, the labelled day source."""

from pathlib import Path

from mmseg.registry import DATASETS

from dsr_nss.commands import call
from dsr_nss.datasets.base import Item, RoadSceneDataset, find_files
from dsr_nss.datasets.class_statistics import FILE_NAME, ClassCounts, class_counts
from dsr_nss.datasets.published import require_folder

_IMAGE, _LABEL = '_leftImg8bit.png', '_gtFine_labelTrainIds.png'


@DATASETS.register_module()
class Cityscapes(RoadSceneDataset):
    """Cityscapes as published, with train ids made by `tools/prepare_data.py cityscapes`.

    Layout: `leftImg8bit/<split>/<city>/<name>_leftImg8bit.png` and
    `gtFine/<split>/<city>/<name>_gtFine_labelTrainIds.png`. Splits: train, val, test (no labels).

    mmseg's `CityscapesDataset` reads the same files; this one reports what is missing, and gives
    the rare-class statistics that `SourceTargetDataset` asks for.
    """

    NAME = 'cityscapes'
    SPLITS = ('train', 'val', 'test')
    UNLABELLED_SPLITS = ('test',)

    def image_folders(self) -> list[str]:
        """The folder of the split."""
        return [f'leftImg8bit/{self.split}']

    def find_items(self) -> list[Item]:
        """Lists the images of the split."""
        images = require_folder(self.root / 'leftImg8bit' / self.split, self.NAME, self.root)
        labels = self.root / 'gtFine'
        if self.with_labels:
            require_folder(labels / self.split, self.NAME, self.root)
        items = []
        for image in find_files(images, _IMAGE):
            key = cityscapes_key(image, self.root / 'leftImg8bit', _IMAGE)
            items.append(Item(key, image, labels / f'{key}{_LABEL}' if self.with_labels else None))
        return items

    def missing_label_hint(self) -> str:
        """The command that makes train ids."""
        return f'`{call("prepare_data")} {self.NAME} {self.root}` makes them.'

    def statistics_file(self) -> Path:
        """The prepared statistics."""
        return self.root / FILE_NAME

    def class_counts(self) -> ClassCounts:
        """As of every set, but prepared: counting 2,975 full-size labels takes minutes.

        Raises:
            FileNotFoundError: They are not; the message names the command that makes them.
        """
        if not self.statistics_file().is_file():
            raise FileNotFoundError(
                f'{self.statistics_file()} is missing: rare-class sampling needs the class '
                f'statistics of the source. {self.missing_label_hint()}'
            )
        return super().class_counts()


def write_class_statistics(root: Path | str, workers: int = 1) -> Path:
    """Counts the `labelTrainIds` of a Cityscapes layout and writes `class_statistics.json`.

    Args:
        root: Folder with `gtFine/train/<city>/*_gtFine_labelTrainIds.png`.
        workers: Processes.

    Returns:
        The file. Its keys are `train/<city>/<name>`, without suffixes.

    Raises:
        FileNotFoundError: There are no such labels.
        DataError: A label cannot be used.
    """
    root = Path(root)
    folder = root / 'gtFine/train'
    paths = find_files(folder, _LABEL)
    if not paths:
        raise FileNotFoundError(
            f'no *{_LABEL} below {folder}; `{call("prepare_data")} cityscapes {root}` makes them'
        )
    labels = {cityscapes_key(path, root / 'gtFine', _LABEL): str(path) for path in paths}
    path = root / FILE_NAME
    path.unlink(missing_ok=True)  # it may be damaged, or name labels that are gone
    class_counts(path, labels, workers=workers)
    return path


def cityscapes_key(path: Path, folder: Path, suffix: str) -> str:
    """`<split>/<city>/<name>` of an image or label below `leftImg8bit` or `gtFine`."""
    return path.relative_to(folder).as_posix().removesuffix(suffix)
