"""Dark Zurich: unlabelled night images with a day image of the same place; a labelled val split."""

import re
from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from dsr_nss.commands import call
from dsr_nss.datasets.base import Item, RoadSceneDataset, find_files, first_of
from dsr_nss.datasets.dark_zurich_pairs import train_pairs
from dsr_nss.datasets.listed_files import listed_file
from dsr_nss.datasets.published import require_folder
from dsr_nss.values import checked


def _frame_of(name: str) -> str:
    match = re.match(r'.*_frame_\d+', name)
    return match.group() if match else name


@DATASETS.register_module()
@checked
class DarkZurich(RoadSceneDataset):
    """Dark Zurich as published: night images, their day references, labels of the val split.

    Layout: `rgb_anon/{train,val,test}/night/<sequence>/<frame>_rgb_anon.png`, references
    `rgb_anon/train/day/...` (which one: see `dark_zurich_pairs`) and
    `rgb_anon/{val,test}_ref/day/<sequence>_ref/<frame>_*_rgb_anon.png`, labels
    `gt/val/night/<sequence>/<frame>_gt_labelTrainIds.png`. Splits: train and test (no labels), val.

    Args:
        data_root: Root of the set.
        split: train, val or test.
        pair_list: Pair list of the train split, below `data_root`; None finds it as `train_pairs`
            does.
        kwargs: `with_labels` and the other arguments of `RoadSceneDataset`.
    """

    NAME = 'dark_zurich'
    SPLITS = ('train', 'val', 'test')
    UNLABELLED_SPLITS = ('train', 'test')

    def __init__(
        self, *, data_root: str, split: str, pair_list: str | None = None, **kwargs: Any
    ) -> None:
        if pair_list is not None and split != 'train':
            raise ValueError(f'DarkZurich: pair_list belongs to the train split, not to {split}')
        self.pair_list = pair_list
        super().__init__(data_root=data_root, split=split, **kwargs)

    def image_folders(self) -> list[str]:
        """The night folder of the split."""
        return [f'rgb_anon/{self.split}/night']

    def find_items(self) -> list[Item]:
        """Lists the night images of the split."""
        night = require_folder(self.root / 'rgb_anon' / self.split / 'night', self.NAME, self.root)
        return self._paired_items() if self.split == 'train' else self._evaluation_items(night)

    def _paired_items(self) -> list[Item]:
        pairs = train_pairs(self.root, self.pair_list)
        if any(day for _, day in pairs):
            require_folder(self.root / 'rgb_anon/train/day', self.NAME, self.root)
        names = [name for pair in pairs for name in pair if name]
        where = f'{self.title}, pairs of night and day images'
        missing = [name for name in names if not listed_file(self.root, name, where).is_file()]
        if missing:
            raise FileNotFoundError(
                f'{self.title}: the pair list names {len(missing)} files that are not below '
                f'{self.root}, the first: {first_of(missing)}. '
                f'`{call("prepare_data")} {self.NAME} {self.root}` checks the download and '
                'writes the list anew.'
            )
        items = []
        for night, day in pairs:
            key = night.removeprefix('rgb_anon/').removesuffix('_rgb_anon.png')
            items.append(Item(key, self.root / night, None, self.root / day if day else None))
        return items

    def _evaluation_items(self, night: Path) -> list[Item]:
        labels = self.root / 'gt' / self.split / 'night'
        if self.with_labels:
            require_folder(labels, self.NAME, self.root)
        days = self.root / 'rgb_anon' / f'{self.split}_ref' / 'day'
        # What follows the frame number in a reference's name differs between val and test.
        references = {_frame_of(path.name): path for path in find_files(days, '.png')}
        items = []
        for image in find_files(night, '_rgb_anon.png'):
            frame = image.relative_to(night).as_posix().removesuffix('_rgb_anon.png')
            label = labels / f'{frame}_gt_labelTrainIds.png' if self.with_labels else None
            reference = None
            if references:
                name = Path(frame).name
                reference = references.get(name, days / f'{name}_ref_rgb_anon.png')
            items.append(Item(f'{self.split}/night/{frame}', image, label, reference))
        return items
