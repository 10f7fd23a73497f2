"""Image pairs whose flow is known: nightscape's truth, and lists of corresponding points."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dsr_nss.commands import call
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.images import MAX_PIXELS
from dsr_nss.datasets.listed_files import listed_file, read_table
from dsr_nss.errors import DataError

#: Bytes of a flow of the largest image that is read, in float32 with two masks.
MOST_BYTES = 10 * MAX_PIXELS


class Truth(NamedTuple):
    """Where points of the target lie in the reference.

    Attributes:
        points: `(N, 2)` float64, x first, pixels of the target file; 0 is the centre of the first.
        matches: `(N, 2)` float64, the same of the reference file.
        visible: `(N,)` bool, whether the reference shows the point; None if that is not known.
        size: (height, width) of a dense flow, which must be that of the target; None for points.
    """

    points: np.ndarray
    matches: np.ndarray
    visible: np.ndarray | None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class TruePair:
    """Two image files and what is known about them, read on demand."""

    name: str
    target: Path
    reference: Path
    read: Callable[[], Truth]


#: Published sets of sparse points: name -> list and folder of the images (as one or the other
#: public reader has it), below the data root.
POINT_SETS = {
    'megadepth': ('Test/test1600Pairs.csv', 'Test/test1600Pairs'),
    'robotcar': ('test6511.csv', 'img', 'images'),
}
#: What `--data` takes beside the name of a list.
NAMES = ('nightscape', *POINT_SETS)
_DEFAULT_ROOTS = {name: f'data/{name}' for name in NAMES}
_POINTS = ('XA', 'YA', 'XB', 'YB')
_Rows = Iterable[tuple[int, dict[str, str]]]


def true_pairs(data: str, data_root: str | Path | None = None) -> list[TruePair]:
    """All pairs of a set.

    Args:
        data: `nightscape`, `megadepth`, `robotcar`, or the name of a CSV file.
        data_root: Root of the set; None: `data/<name>`, or the folder of the CSV file.

    Raises:
        FileNotFoundError: The set, a list or an image is not there.
        DataError: A list has not the columns it needs, or no pairs.
    """
    if data in _DEFAULT_ROOTS:
        root = Path(data_root or _DEFAULT_ROOTS[data])
        if data == 'nightscape':
            pairs = nightscape_pairs(root)
        else:
            points, *folders = POINT_SETS[data]
            found = [root / folder for folder in folders if (root / folder).is_dir()]
            pairs = listed_pairs(root / points, (found or [root / folders[0]])[0])
    else:
        file = Path(data)
        if file.suffix.lower() != '.csv':
            raise DataError(f'{data} is neither {", ".join(NAMES)} nor a CSV file of pairs')
        pairs = listed_pairs(file, Path(data_root or file.parent))
    if not pairs:
        raise DataError(f'{data}: there are no pairs with a known flow')
    files = dict.fromkeys(file for pair in pairs for file in (pair.target, pair.reference))
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{data}: {len(missing)} of {len(files)} images are missing, the first: {missing[0]}'
        )
    return pairs


def nightscape_pairs(root: Path) -> list[TruePair]:
    """The night images and day references of `dark_zurich/train`, with the flow of `truth`."""
    images = DarkZurich(data_root=str(root / 'dark_zurich'), split='train')
    pairs = []
    for i in range(len(images)):
        info = images.get_data_info(i)
        stem = Path(info['img_path']).name.removesuffix('_rgb_anon.png')
        flow = root / 'truth/flow' / f'{stem}.npz'
        if not flow.is_file():
            raise FileNotFoundError(
                f'{flow} is not there: only a set that `{call("make_nightscape")}` made has true '
                'flow'
            )
        target, reference = Path(info['img_path']), Path(info['reference_path'])
        pairs.append(TruePair(stem, target, reference, partial(read_flow, flow)))
    return pairs


def read_flow(path: Path) -> Truth:
    """A dense flow file as points; see `read_flow_arrays`.

    Raises:
        DataError: The flow is not finite where it is valid.
    """
    flow, masks = read_flow_arrays(path)
    rows, columns = np.nonzero(masks.get('valid', np.isfinite(flow).all(0)))
    points = np.stack([columns, rows], 1).astype(np.float64)
    visible = ~masks['occluded'][rows, columns] if 'occluded' in masks else None
    known = flow[:, rows, columns].T.astype(np.float64)
    if not np.isfinite(known).all():
        raise DataError(f'{path}: the flow is not finite at pixels that are valid')
    return Truth(points, points + known, visible, (flow.shape[1], flow.shape[2]))


def read_flow_arrays(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A dense flow: an .npz with `flow` `(2, H, W)` in pixels, x first, and optionally `valid` and
    `occluded`, bool `(H, W)`.

    Returns:
        The flow as it is stored, and the masks that are there.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is damaged or has other arrays.
    """
    if not path.is_file():
        raise FileNotFoundError(f'the flow {path} does not exist')
    try:
        with np.load(path) as content:
            if sum(entry.file_size for entry in content.zip.infolist()) > MOST_BYTES:
                raise ValueError(f'it unpacks to more than {MOST_BYTES:,} bytes')
            flow = content['flow']
            masks = {k: content[k].astype(bool) for k in ('valid', 'occluded') if k in content}
    except Exception as error:  # damaged archives fail in any way, one that claims too much as well
        raise DataError(f'{path}: no flow can be read from it ({error})') from None
    shape = flow.shape[1:]
    if flow.ndim != 3 or len(flow) != 2 or any(mask.shape != shape for mask in masks.values()):
        raise DataError(f'{path}: expected flow (2, H, W) and masks (H, W), got {flow.shape}')
    if flow.dtype.kind not in 'fiu':
        raise DataError(f'{path}: expected a flow of numbers, got {flow.dtype}')
    return flow, masks


def listed_pairs(file: Path, root: Path) -> list[TruePair]:
    """Pairs of a CSV file: with a flow file each, or with points.

    Args:
        file: Either the columns `target,reference,flow` (names below `root`), or those of the
            MegaDepth and RobotCar lists of RANSAC-Flow: `scene` (optional),
            `source_image,target_image,XA,YA,XB,YB`, points separated by `;`, A of the source (the
            reference here) and B of the target, in pixels of the files.
        root: Folder of the images.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: A column is missing or a number cannot be read.
    """
    if not file.is_file():
        raise FileNotFoundError(f'the list of pairs {file} does not exist')
    columns, rows = read_table(file)
    if {'target', 'reference', 'flow'} <= set(columns):
        return list(_flow_pairs(rows, file, root))
    if {'source_image', 'target_image', *_POINTS} <= set(columns):
        return list(_point_pairs(rows, file, root))
    raise DataError(
        f'{file}: needs the columns target,reference,flow or '
        f'source_image,target_image,XA,YA,XB,YB; it has {",".join(sorted(columns)) or "nothing"}'
    )


def _cells(row: dict[str, str], names: Sequence[str], where: str) -> list[str]:
    cells = [(row[name] or '').strip() for name in names]
    empty = [name for name, cell in zip(names, cells, strict=True) if not cell]
    if empty:
        raise DataError(f'{where}: no {empty[0]}')
    return cells


def _flow_pairs(rows: _Rows, file: Path, root: Path) -> Iterator[TruePair]:
    for number, row in rows:
        where = f'{file}, line {number}'
        target, reference, flow = _cells(row, ('target', 'reference', 'flow'), where)
        flow_file = listed_file(root, flow, where)
        if not flow_file.is_file():
            raise FileNotFoundError(f'{where}: the flow {flow_file} does not exist')
        yield TruePair(
            f'{number - 1:05d}_{Path(target).stem}',
            listed_file(root, target, where),
            listed_file(root, reference, where),
            partial(read_flow, flow_file),
        )


def _point_pairs(rows: _Rows, file: Path, root: Path) -> Iterator[TruePair]:
    for number, row in rows:
        where = f'{file}, line {number}'
        try:
            coordinates = [np.array([float(x) for x in row[key].split(';')]) for key in _POINTS]
            if not all(np.isfinite(part).all() for part in coordinates):
                raise ValueError
        except (ValueError, AttributeError):
            raise DataError(f'{where}: the points are not numbers separated by ;') from None
        if len({len(part) for part in coordinates}) != 1:
            raise DataError(f'{where}: XA, YA, XB and YB have different numbers of points')
        reference_x, reference_y, x, y = coordinates
        truth = Truth(np.stack([x, y], 1), np.stack([reference_x, reference_y], 1), None)
        scene = (row.get('scene') or '').strip('/ ') or '.'
        target, reference = _cells(row, ('target_image', 'source_image'), where)
        yield TruePair(
            f'{number - 1:05d}_{Path(target).stem}',
            listed_file(root, f'{scene}/{target}', where),
            listed_file(root, f'{scene}/{reference}', where),
            partial(Truth._make, truth),
        )
