"""Nighttime Driving: 50 coarsely labelled night images, a test set."""

from mmseg.registry import DATASETS

from dsr_nss.datasets.base import Item, RoadSceneDataset, find_files
from dsr_nss.datasets.published import require_folder


@DATASETS.register_module()
class NighttimeDriving(RoadSceneDataset):
    """Nighttime Driving as published (the only split is test; its labels are coarse).

    Layout: `leftImg8bit/test/night/<frame>_leftImg8bit.png` and
    `gtCoarse_daytime_trainvaltest/test/night/<frame>_gtCoarse_labelTrainIds.png`.
    """

    NAME = 'nighttime_driving'
    SPLITS = ('test',)

    def image_folders(self) -> list[str]:
        """The folder of the split."""
        return ['leftImg8bit/test/night']

    def find_items(self) -> list[Item]:
        """Lists the test images."""
        images = require_folder(self.root / 'leftImg8bit/test/night', self.NAME, self.root)
        labels = self.root / 'gtCoarse_daytime_trainvaltest/test/night'
        if self.with_labels:
            require_folder(labels, self.NAME, self.root)
        items = []
        for image in find_files(images, '_leftImg8bit.png'):
            frame = image.relative_to(images).as_posix().removesuffix('_leftImg8bit.png')
            label = labels / f'{frame}_gtCoarse_labelTrainIds.png' if self.with_labels else None
            items.append(Item(f'test/{frame}', image, label))
        return items
