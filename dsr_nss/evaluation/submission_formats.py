"""The archives that the test servers take: one description for each server.

Where each description comes from, and what could not be confirmed, as the pages of the Dark Zurich
and ACDC servers themselves were not at hand (docs/submission.md says more):

- Dark Zurich, https://codalab.lisn.upsaclay.fr/competitions/3783, before that
  https://competitions.codalab.org/competitions/23553 (the challenge that the data's authors name in
  https://github.com/sakaridis/MGCDA). The three folders: https://github.com/BIT-DA/SePiCo and
  https://github.com/Attila94/CIConv (`predict_dz.py`), whose authors submitted them. 255 where the
  confidence is strictly below a threshold: the MATLAB sources of MGCDA. Confidence 0..1 as
  0..65535: CIConv. Unconfirmed: that the server takes names without `_rgb_anon`; its rule
  `<sequence>_frame_<number>*.png` is known from third parties only.
- ACDC, https://acdc.vision.ee.ethz.ch/submit. Train ids at 1920x1080, quoted from that page by
  https://github.com/hf618/DTBS. The folder `labelTrainIds`: https://github.com/BIT-DA/VBLC.
  Unconfirmed: the rule for names, taken to be that of Dark Zurich; the archive of its
  uncertainty-aware task, which is not written.
- Cityscapes, https://www.cityscapes-dataset.com/submit/. Label ids, `<city>_123456_123456*.png` at
  any depth, one file an image: the official script `evalPixelLevelSemanticLabeling.py` of
  https://github.com/mcordts/cityscapesScripts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsr_nss.classes import CLASSES, IGNORE_INDEX
from dsr_nss.datasets.base import IMAGE_SUFFIXES, find_files
from dsr_nss.datasets.images import image_size
from dsr_nss.datasets.preparation.cityscapes_labels import LABEL_IDS
from dsr_nss.errors import DataError, listing


@dataclass(frozen=True)
class Part:
    """One folder of an archive; it holds one PNG with a single channel for each image.

    Attributes:
        folder: Its name; empty for the top of the archive.
        content: `'labels'`: 8-bit class ids. `'abstaining'`: the same, with 255 where nothing is
            predicted. `'confidence'`: 16 bits, 65535 times the probability of the predicted class.
    """

    folder: str
    content: Literal['labels', 'abstaining', 'confidence']

    @property
    def bits(self) -> int:
        """Bits of a pixel."""
        return 16 if self.content == 'confidence' else 8


@dataclass(frozen=True)
class SubmissionFormat:
    """What one server takes.

    Attributes:
        name: Short name.
        title: Name for messages.
        parts: Folders of the archive.
        label_values: The value that stands for each train id.
        frame: Regular expression of what identifies an image at the start of its file name.
        image_ending: Regular expression of what may follow that in the name of an image.
        ending: What follows it in the archive, before `.png`.
        free_names: The server finds files at any depth, whatever follows `frame`.
        counts: Allowed numbers of images, that of the whole test set first.
        size: (height, width) of the images in pixels.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    label_values: tuple[int, ...]
    frame: str
    image_ending: str
    ending: str
    free_names: bool
    counts: tuple[int, ...]
    size: tuple[int, int]

    @property
    def needs_confidence(self) -> bool:
        """Whether the archive holds confidences."""
        return any(part.content == 'confidence' for part in self.parts)

    @property
    def abstains(self) -> bool:
        """Whether the archive holds labels with pixels where nothing is predicted."""
        return any(part.content == 'abstaining' for part in self.parts)

    def frame_of(self, image: str) -> str:
        """What identifies an image, from its path without suffix.

        Raises:
            DataError: The path has another form than those of the set.
        """
        match = re.fullmatch(f'({self.frame})(?:{self.image_ending})', image.rpartition('/')[2])
        if match is None:
            raise DataError(
                f'{image}: not a name of an image of {self.title}; the server could not tell '
                f'which it is (expected: {self.frame}, then {self.image_ending})'
            )
        return match[1]

    def path(self, part: Part, frame: str) -> str:
        """Where the prediction of an image lies in the archive."""
        return '/'.join(filter(None, (part.folder, f'{frame}{self.ending}.png')))

    def allowed_values(self, part: Part) -> frozenset[int] | None:
        """Values of the pixels of a part; None where all are."""
        if part.content == 'confidence':
            return None
        nothing = {IGNORE_INDEX} if part.content == 'abstaining' else set()
        return frozenset(self.label_values) | nothing


_TRAIN_IDS = tuple(range(len(CLASSES)))
_GOPRO_FRAME, _GOPRO_ENDING = r'[A-Za-z0-9]+_frame_\d{6}', '|_rgb|_rgb_anon'

#: By the name that `tools/test.py --submit` takes.
SUBMISSION_FORMATS: Mapping[str, SubmissionFormat] = {
    'dark_zurich': SubmissionFormat(
        name='dark_zurich',
        title='Dark Zurich',
        parts=(
            Part('labelTrainIds', 'labels'),
            Part('confidence', 'confidence'),
            Part('labelTrainIds_invalid', 'abstaining'),
        ),
        label_values=_TRAIN_IDS,
        frame=_GOPRO_FRAME,
        image_ending=_GOPRO_ENDING,
        ending='',
        free_names=False,
        counts=(151,),
        size=(1080, 1920),
    ),
    'acdc': SubmissionFormat(
        name='acdc',
        title='ACDC',
        parts=(Part('labelTrainIds', 'labels'),),
        label_values=_TRAIN_IDS,
        frame=_GOPRO_FRAME,
        image_ending=_GOPRO_ENDING,
        ending='',
        free_names=False,
        counts=(2000, 500),  # four conditions, one condition
        size=(1080, 1920),
    ),
    'cityscapes': SubmissionFormat(
        name='cityscapes',
        title='Cityscapes',
        parts=(Part('', 'labels'),),
        label_values=LABEL_IDS,
        frame=r'[a-z-]+_\d{6}_\d{6}',
        image_ending='|_leftImg8bit',
        ending='_pred_labelIds',
        free_names=True,
        counts=(1525,),
        size=(1024, 2048),
    ),
}


def submission_format(kind: str | SubmissionFormat) -> SubmissionFormat:
    """The format of a name; a format is returned as it is.

    Raises:
        ValueError: There is no such format; the message lists those that there are.
    """
    if isinstance(kind, SubmissionFormat):
        return kind
    if kind not in SUBMISSION_FORMATS:
        raise ValueError(f'unknown server {kind!r}; known are {", ".join(SUBMISSION_FORMATS)}')
    return SUBMISSION_FORMATS[kind]


def expected_images(
    folders: Sequence[str | Path], format: SubmissionFormat
) -> dict[str, tuple[int, int]]:
    """What identifies each image below folders, and its height and width as a viewer shows it.

    Raises:
        FileNotFoundError: There is no such folder, or no image in one.
        DataError: Images cannot be read (names them all), or have a name of another set.
    """
    files = []
    for folder in map(Path, folders):
        found = find_files(folder, IMAGE_SUFFIXES) if folder.is_dir() else []
        if not found:
            raise FileNotFoundError(f'{folder}: no such folder, or no images in it')
        files += found
    sizes, bad = {}, []
    for file in files:
        try:
            sizes[format.frame_of(file.stem)] = image_size(file)
        except (DataError, OSError) as error:
            bad.append(str(error))
    if bad:
        raise DataError(f'{len(bad)} of {len(files)} test images cannot be used:\n{listing(bad)}')
    return sizes
