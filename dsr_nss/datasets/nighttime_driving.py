"""Nighttime Driving: 50 coarsely labelled night images, a test set."""

from typing import Any

from mmseg.registry import DATASETS

from dsr_nss.datasets.base import Item, RoadSceneDataset, find_files
from dsr_nss.datasets.published import require_folder

_PUBLISHED = 'gtCoarse_daytime_trainvaltest'


@DATASETS.register_module()
class NighttimeDriving(RoadSceneDataset):
    """Nighttime Driving as published (the only split is test; its labels are coarse).

    Layout: `leftImg8bit/test/night/<frame>_leftImg8bit.png` and
    `gtCoarse_daytime_trainvaltest/test/night/<frame>_gtCoarse_labelTrainIds.png`.

    Args:
        data_root: Root of the set.
        labels: Another folder of labels in the place of `gtCoarse_daytime_trainvaltest`, with the
            same names: corrected ones lie beside the published. A test set of them needs a name of
            its own, under which its score is reported.
        kwargs: `split` and the other arguments of `RoadSceneDataset`.
    """

    NAME = 'nighttime_driving'
    SPLITS = ('test',)

    def __init__(self, *, data_root: str, labels: str = _PUBLISHED, **kwargs: Any) -> None:
        self.label_folder = labels
        super().__init__(data_root=data_root, **kwargs)

    @property
    def title(self) -> str:
        """The set, and the labels if they are not the published ones."""
        return (
            super().title
            if self.label_folder == _PUBLISHED
            else (f'{super().title} with {self.label_folder}')
        )

    def image_folders(self) -> list[str]:
        """The folder of the split."""
        return ['leftImg8bit/test/night']

    def find_items(self) -> list[Item]:
        """Lists the test images."""
        images = require_folder(self.root / 'leftImg8bit/test/night', self.NAME, self.root)
        labels = self.root / self.label_folder / 'test/night'
        if self.with_labels:
            require_folder(labels, self.NAME, self.root)
        items = []
        for image in find_files(images, '_leftImg8bit.png'):
            frame = image.relative_to(images).as_posix().removesuffix('_leftImg8bit.png')
            label = labels / f'{frame}_gtCoarse_labelTrainIds.png' if self.with_labels else None
            items.append(Item(f'test/{frame}', image, label))
        return items
