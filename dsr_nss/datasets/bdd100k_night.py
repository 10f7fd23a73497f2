"""BDD100K night: the night images among the 10,000 that have segmentation labels."""

from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from dsr_nss.commands import call
from dsr_nss.datasets.base import Item, RoadSceneDataset, first_of
from dsr_nss.datasets.listed_files import read_text, require_once
from dsr_nss.datasets.published import require_folder
from dsr_nss.errors import DataError
from dsr_nss.values import checked

NIGHT_LIST = 'night_images.txt'


@DATASETS.register_module()
@checked
class BDD100kNight(RoadSceneDataset):
    """The night part of BDD100K's segmentation set (`10K Images` and `Segmentation`).

    Layout: `images/10k/<split>/<name>.jpg` and `labels/sem_seg/masks/<split>/<name>.png`. The
    published segmentation set does not say which images were taken at night; a list does, a line an
    image, that ends with `<split>/<name>.jpg`. `tools/prepare_data.py bdd100k_night` makes one from
    the published attributes, or takes the list that a paper used.

    Args:
        data_root: Root of the set.
        split: train, val, or trainval for all images of the list.
        night_list: The list, below `data_root` or absolute.
        kwargs: `with_labels` and the other arguments of `RoadSceneDataset`.
    """

    NAME = 'bdd100k_night'
    SPLITS = ('train', 'val', 'trainval')

    def __init__(
        self, *, data_root: str, split: str, night_list: str = NIGHT_LIST, **kwargs: Any
    ) -> None:
        self.night_list = Path(data_root, night_list)
        super().__init__(data_root=data_root, split=split, **kwargs)

    def image_folders(self) -> list[str]:
        """None: the list decides how many images the set has."""
        return []

    def find_items(self) -> list[Item]:
        """Lists the night images of the split."""
        splits = ('train', 'val') if self.split == 'trainval' else (self.split,)
        images, labels = self.root / 'images/10k', self.root / 'labels/sem_seg/masks'
        for split in splits:
            require_folder(images / split, self.NAME, self.root)
            if self.with_labels:
                require_folder(labels / split, self.NAME, self.root)
        names = [name for name in read_night_list(self.night_list) if name.split('/')[0] in splits]
        missing = [name for name in names if not (images / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f'{self.title}: {self.night_list} names {len(missing)} images that are not below '
                f'{images}, the first: {first_of(missing)}'
            )
        items = []
        for name in names:
            key = name.removesuffix('.jpg')
            label = labels / f'{key}.png' if self.with_labels else None
            items.append(Item(key, images / name, label))
        return items


def read_night_list(path: Path) -> list[str]:
    """Reads a list of night images.

    Args:
        path: Text file; a line ends with `<split>/<name>.jpg`, what comes before is not used.

    Returns:
        `<split>/<name>.jpg` of each line.

    Raises:
        FileNotFoundError: There is no such file; the message names the command that makes it.
        DataError: It is no text, a line has another form, or two name the same image.
    """
    if not path.exists():
        raise FileNotFoundError(
            f'{path} is missing: it says which images were taken at night. '
            f'`{call("prepare_data")} bdd100k_night {path.parent}` makes it.'
        )
    names = []
    numbers = []
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if not line.strip():
            continue
        parts = line.strip().replace('\\', '/').split('/')
        if len(parts) < 2 or parts[-2] not in ('train', 'val') or not parts[-1].endswith('.jpg'):
            raise DataError(f'{path}, line {number}: expected `<split>/<name>.jpg`, got {line!r}')
        names.append('/'.join(parts[-2:]))
        numbers.append(number)
    require_once(zip(numbers, names, strict=True), path, 'image')
    return names
