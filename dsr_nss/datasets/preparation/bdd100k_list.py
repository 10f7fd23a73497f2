"""Which of BDD100K's segmentation images were taken at night."""

import json
from collections.abc import Iterator
from pathlib import Path

from dsr_nss.datasets.bdd100k_night import NIGHT_LIST, read_night_list
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically

#: Where the two releases of the detection labels keep the attributes of an image.
_ATTRIBUTE_FILES = (
    'labels/det_20/det_train.json',
    'labels/det_20/det_val.json',
    'labels/bdd100k_labels_images_train.json',
    'labels/bdd100k_labels_images_val.json',
)


def frames_of(path: Path) -> Iterator[dict]:
    """The frames of a label file, one after the other.

    The files hold one list of up to a gigabyte; parsed as a whole it would take many times that.

    Raises:
        DataError: The file is no such list.
    """
    text = path.read_text()
    decoder = json.JSONDecoder()
    position = text.find('[') + 1
    try:
        while True:
            while text[position] in ', \t\r\n':
                position += 1
            if text[position] == ']':
                return
            frame, position = decoder.raw_decode(text, position)
            yield frame
    except (ValueError, IndexError) as error:
        raise DataError(f'{path}: no list of frames ({error}); get it again') from None


def times_of_day(root: Path) -> dict[str, str]:
    """`{image name: time of day}` from the published attributes; empty without them."""
    times = {}
    for name in _ATTRIBUTE_FILES:
        if (root / name).is_file():
            for frame in frames_of(root / name):
                time = (frame.get('attributes') or {}).get('timeofday')
                if time:
                    times[Path(frame['name']).stem] = time
    return times


def make_night_list(root: Path, night_list: Path | None = None) -> tuple[Path, int, int]:
    """Writes `night_images.txt`.

    Args:
        root: Root of the set.
        night_list: A list to take instead of the attributes, e.g. one that a paper used.

    Returns:
        The file, how many images it names, and how many images of the set have no attributes (they
        are left out: the segmentation images are no subset of the images with attributes).

    Raises:
        FileNotFoundError: There are neither attributes nor a list, or no such list.
    """
    if night_list is not None:
        if not night_list.is_file():
            raise FileNotFoundError(f'--night-list {night_list} is no file')
        names, unknown = read_night_list(night_list), 0
    else:
        times = times_of_day(root)
        if not times:
            raise FileNotFoundError(
                f'BDD100K: none of {", ".join(_ATTRIBUTE_FILES)} is below {root}: they say which '
                'images were taken at night. Get `Detection 2020 Labels` (or `Labels`) from the '
                'same page, or give a list of night images with --night-list.'
            )
        images = sorted((root / 'images/10k').glob('*/*.jpg'))
        images = [path for path in images if path.parent.name in ('train', 'val')]
        night = [path for path in images if times.get(path.stem) == 'night']
        names = [f'{path.parent.name}/{path.name}' for path in night]
        unknown = sum(path.stem not in times for path in images)
    path = write_atomically(root / NIGHT_LIST, ''.join(f'{name}\n' for name in names))
    return path, len(names), unknown
