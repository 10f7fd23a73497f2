"""ACDC: adverse conditions with labels and a normal-condition reference of each image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from dsr_nss.datasets.base import Item, RoadSceneDataset, find_files
from dsr_nss.datasets.published import require_folder
from dsr_nss.values import checked

CONDITIONS = ('night', 'fog', 'rain', 'snow')


@DATASETS.register_module()
@checked
class ACDC(RoadSceneDataset):
    """ACDC as published.

    Layout: `rgb_anon/<condition>/<split>/<sequence>/<frame>_rgb_anon.png`, references
    `rgb_anon/<condition>/<split>_ref/<sequence>/<frame>_rgb_ref_anon.png`, labels
    `gt/<condition>/<split>/<sequence>/<frame>_gt_labelTrainIds.png`. Splits: train, val, test (no
    labels).

    Args:
        data_root: Root of the set.
        split: train, val or test.
        condition: One of night, fog, rain, snow, or several of them.
        with_labels: Whether to attach labels, as in `RoadSceneDataset`; False uses the train split
            as an unlabelled target.
        kwargs: Other arguments of `RoadSceneDataset`.

    The train split needs its references; the others take them where the folder exists.
    """

    NAME = 'acdc'
    SPLITS = ('train', 'val', 'test')
    UNLABELLED_SPLITS = ('test',)

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        condition: str | Sequence[str] = 'night',
        with_labels: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.conditions = (condition,) if isinstance(condition, str) else tuple(condition)
        unknown = [name for name in self.conditions if name not in CONDITIONS]
        if unknown or not self.conditions:
            raise ValueError(
                f'ACDC: unknown condition(s) {unknown}; the conditions are {", ".join(CONDITIONS)}'
            )
        super().__init__(data_root=data_root, split=split, with_labels=with_labels, **kwargs)

    @property
    def title(self) -> str:
        """The set, conditions and split for messages."""
        return f'ACDC {"+".join(self.conditions)} {self.split}'

    def image_folders(self) -> list[str]:
        """One folder a condition."""
        return [f'rgb_anon/{name}/{self.split}' for name in self.conditions]

    def statistics_file(self) -> Path:
        """One file a choice of conditions."""
        name = '_'.join((*self.conditions, self.split))
        return self.root / f'class_statistics_{name}.json'

    def missing_label_hint(self) -> str:
        """What to do when labels are missing."""
        return f'{super().missing_label_hint()} An unlabelled target sets with_labels=False.'

    def find_items(self) -> list[Item]:
        """Lists the images of the conditions, one after the other."""
        return [item for name in self.conditions for item in self._items_of(name)]

    def _items_of(self, condition: str) -> list[Item]:
        folder = f'{condition}/{self.split}'
        images = require_folder(self.root / 'rgb_anon' / folder, self.NAME, self.root)
        references = self.root / 'rgb_anon' / f'{folder}_ref'
        if self.split == 'train':
            require_folder(references, self.NAME, self.root)
        labels = self.root / 'gt' / folder
        if self.with_labels:
            require_folder(labels, self.NAME, self.root)
        items = []
        for image in find_files(images, '_rgb_anon.png'):
            frame = image.relative_to(images).as_posix().removesuffix('_rgb_anon.png')
            label = labels / f'{frame}_gt_labelTrainIds.png' if self.with_labels else None
            reference = references / f'{frame}_rgb_ref_anon.png' if references.is_dir() else None
            items.append(Item(f'{folder}/{frame}', image, label, reference))
        return items
