"""Pairs of images of one place, without labels: what dense matching trains on."""

import io
import pickle
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dsr_nss.datasets.base import first_of
from dsr_nss.datasets.images import read_image
from dsr_nss.datasets.listed_files import listed_file, read_table, read_text, require_once
from dsr_nss.datasets.pixels import Size, resize_image
from dsr_nss.datasets.regular_files import MAX_BYTES
from dsr_nss.datasets.shuffled_passes import ShuffledPasses
from dsr_nss.errors import DataError
from dsr_nss.values import Bounds, Count, checked


class FilePair(NamedTuple):
    """Two image files; `reference` is None for an image of which there is no second one."""

    target: Path
    reference: Path | None


@checked
class PairDataset(Dataset):
    """Maps a sample number to a pair of images; a subclass lists the pairs.

    Passes over the pairs are shuffled by the seed. An item has the keys `target` and `reference`,
    uint8 `(3, H, W)` RGB (a reference that does not exist is zero), `has_reference` bool `()`, and
    `files`, a dict with the names of the two ('' where there is none).

    Args:
        size: (height, width) that all images are resized to, whatever their aspect ratio. The model
            crops to their middle after warping them, so about 1.44 times its `crop_size`.
        seed: Decides the order.

    Raises:
        FileNotFoundError: A folder or file is missing.
        DataError: There are no pairs.
    """

    def __init__(self, *, size: tuple[Count, Count], seed: Annotated[int, Bounds(0)] = 0) -> None:
        self.size: Size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.pairs = self.find_pairs()
        if not self.pairs:
            raise DataError(f'{self.title}: there are no pairs')
        self._check_files()
        self._order = ShuffledPasses(len(self.pairs), seed=seed, stream=1)
        paired = sum(pair.reference is not None for pair in self.pairs)
        print_log(f'{self.title}: {len(self.pairs)} images, {paired} with a reference', 'current')

    @property
    def title(self) -> str:
        """The set for messages."""
        return type(self).__name__

    @property
    def metainfo(self) -> dict[str, Any]:
        """There are no classes; mmengine asks."""
        return {}

    @abstractmethod
    def find_pairs(self) -> list[FilePair]:
        """Lists the pairs, in an order of their own."""

    def _check_files(self) -> None:
        files = [file for pair in self.pairs for file in pair if file is not None]
        missing = [file for file in dict.fromkeys(files) if not file.is_file()]
        if missing:
            raise FileNotFoundError(
                f'{self.title}: {len(missing)} of {len(set(files))} images are missing, the first: '
                f'{first_of(missing)}'
            )

    def __len__(self) -> int:
        """Pairs of one pass."""
        return len(self.pairs)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The item of a global sample number (0, 1, 2, ... without end).

        Raises:
            DataError: A file cannot be used; the message names it.
            FileNotFoundError: A file has vanished since the start.
        """
        if get_worker_info() is not None:
            cv2.setNumThreads(0)  # the workers already use the cores
        pair = self.pairs[self._order[number]]
        target = self._read(pair.target)
        reference = torch.zeros_like(target)
        if pair.reference is not None:
            reference = self._read(pair.reference)
        return {
            'target': target,
            'reference': reference,
            'has_reference': torch.tensor(pair.reference is not None),
            'files': {'target': str(pair.target), 'reference': str(pair.reference or '')},
        }

    def _read(self, path: Path) -> Tensor:
        image = resize_image(read_image(path), self.size)
        return torch.from_numpy(image.transpose(2, 0, 1).copy())


@DATASETS.register_module()
@checked
class ReferencePairs(PairDataset):
    """The images of any set of this package with their references.

    A night set brings its day references (`DarkZurich`, `ACDC`); a `FolderDataset` pairs two
    folders by stem, or has one folder of single images.

    Args:
        images: Config of the set; labels are neither needed nor read.
        kwargs: Arguments of `PairDataset`.
    """

    def __init__(self, *, images: Mapping[str, Any], **kwargs: Any) -> None:
        self.images = DATASETS.build({**images, 'pipeline': []})
        super().__init__(**kwargs)

    @property
    def title(self) -> str:
        """The set for messages."""
        return self.images.title

    def find_pairs(self) -> list[FilePair]:
        """All images of the set."""
        infos = (self.images.get_data_info(i) for i in range(len(self.images)))
        return [
            FilePair(
                Path(info['img_path']),
                None if info['reference_path'] is None else Path(info['reference_path']),
            )
            for info in infos
        ]


@DATASETS.register_module()
@checked
class PairList(PairDataset):
    """Pairs that a CSV file lists.

    Args:
        pairs: The file, with the columns `target` and `reference` (others are ignored). An empty
            reference makes a single image.
        data_root: What the names in the list are relative to; None: the folder of the list.
        kwargs: Arguments of `PairDataset`.
    """

    def __init__(self, *, pairs: str, data_root: str | None = None, **kwargs: Any) -> None:
        self.file = Path(pairs)
        self.root = self.file.parent if data_root is None else Path(data_root)
        super().__init__(**kwargs)

    @property
    def title(self) -> str:
        """The file for messages."""
        return f'PairList {self.file}'

    def find_pairs(self) -> list[FilePair]:
        """The lines of the file."""
        if not self.file.is_file():
            raise FileNotFoundError(f'the pair list {self.file} does not exist')
        pairs, numbers = [], []
        for number, row in _rows(self.file):
            reference = (row['reference'] or '').strip()
            where = f'{self.file}, line {number}'
            pairs.append(
                FilePair(
                    listed_file(self.root, row['target'].strip(), where),
                    listed_file(self.root, reference, where) if reference else None,
                )
            )
            numbers.append(number)
        entries = (' '.join(str(file or '') for file in pair) for pair in pairs)
        require_once(zip(numbers, entries, strict=True), self.file, 'pair')
        return pairs


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    columns, rows = read_table(file)
    if not {'target', 'reference'} <= set(columns):
        raise DataError(
            f'{file}: the first line must name the columns target,reference; it has '
            f'{",".join(columns) or "nothing"}'
        )
    for number, row in rows:
        if not (row['target'] or '').strip():
            raise DataError(f'{file}, line {number}: no target')
        yield number, row


@DATASETS.register_module()
@checked
class MegaDepthPairs(PairDataset):
    """MegaDepth in the layout of the D2-Net authors.

    Below `data_root` lie `scene_info/<scene>.0.npz` (with `image_paths` and `overlap_matrix`, the
    share of a reconstruction's points that two images have in common) and the undistorted images
    that they name. Up to `pairs_per_scene` ordered pairs of each scene are drawn once.

    Source of the defaults: Refign's published training.

    Args:
        data_root: Root of the set.
        scenes: Text file with the names of the scenes (`0000`, ...), below `data_root` or absolute;
            None takes all of `scene_info`.
        overlap: Pairs have an overlap above the first and not above the second number.
        pairs_per_scene: Largest number of ordered pairs that are drawn from each scene.
        kwargs: Arguments of `PairDataset`.
    """

    def __init__(
        self,
        *,
        data_root: str,
        scenes: str | None = None,
        overlap: tuple[float, float] = (0.3, 1.0),
        pairs_per_scene: int = 300,
        **kwargs: Any,
    ) -> None:
        self.root = Path(data_root)
        self.scenes = scenes
        self.overlap = overlap
        self.pairs_per_scene = pairs_per_scene
        super().__init__(**kwargs)

    def find_pairs(self) -> list[FilePair]:
        """Draws the pairs, scene by scene."""
        pairs = []
        for file in self._scene_files():
            names, first, second = self._overlapping(file)
            # of the scene's name: a scene more or less changes no other scene's pairs
            rng = np.random.default_rng(list(file.name.encode()))
            chosen = np.arange(len(first))
            if len(chosen) > self.pairs_per_scene:
                chosen = np.sort(rng.choice(len(chosen), self.pairs_per_scene, replace=False))
            for pair in zip(first[chosen], second[chosen], strict=True):
                pairs.append(FilePair(*(listed_file(self.root, names[i], str(file)) for i in pair)))
        return pairs

    def _scene_files(self) -> list[Path]:
        folder = self.root / 'scene_info'
        if not folder.is_dir():
            raise FileNotFoundError(
                f'MegaDepth: the folder {folder} does not exist; it comes from the preprocessing '
                'of D2-Net (docs/alignment.md)'
            )
        if self.scenes is None:
            files = sorted(folder.glob('*.npz'))
        else:
            listing = self.root / self.scenes
            if not listing.is_file():
                raise FileNotFoundError(f'MegaDepth: the list of scenes {listing} does not exist')
            files = [_scene_file(folder, name, str(listing)) for name in read_text(listing).split()]
        missing = [file for file in files if not file.is_file()]
        if missing or not files:
            raise FileNotFoundError(
                f'MegaDepth: {len(missing)} of {len(files)} scenes are missing below {folder}, '
                f'the first: {first_of(missing)}'
                if files
                else f'MegaDepth: there are no scenes (.npz) in {folder}'
            )
        return files

    def _overlapping(self, file: Path) -> tuple[list[str | None], np.ndarray, np.ndarray]:
        """Image names of a scene, and the two indices of each pair in the range of overlaps."""
        content = _read_npz(file, ('image_paths', 'overlap_matrix'))
        names, overlap = content['image_paths'], content['overlap_matrix']
        if overlap.shape != (len(names), len(names)):
            raise DataError(
                f'{file}: overlap_matrix has the shape {overlap.shape}, image_paths {names.shape}'
            )
        known = np.array([name is not None for name in names], bool)
        low, high = self.overlap
        wanted = (overlap > low) & (overlap <= high) & known[:, None] & known
        np.fill_diagonal(wanted, False)
        first, second = np.nonzero(wanted)
        return names.tolist(), first, second


def _scene_file(folder: Path, name: str, where: str) -> Path:
    """The preprocessing writes `0000.0.npz`, some versions of it `0000.npz`."""
    other = listed_file(folder, f'{name}.npz', where)
    return other if other.is_file() else listed_file(folder, f'{name}.0.npz', where)


class _Names:
    """Stand-in for a pickled array: what it holds, without its own idea of types and sizes.

    numpy's own takes a type with any fields and flags out of a pickle, and then the bytes of the
    file for the addresses of objects.
    """

    values: Any = ()

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.values = state[-1]


def _text(_: Any, data: bytes) -> str:
    """Stand-in for what makes a string of numpy."""
    return data.decode('utf-32-le')


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of strings and nothing else: a downloaded pickle could run any code."""

    STAND_INS = {'_reconstruct': _Names, 'ndarray': _Names, 'dtype': _Names, 'scalar': _text}

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == 'numpy' and name in self.STAND_INS:
            return self.STAND_INS[name]
        # how older protocols write the bytes of a string of numpy
        if (module, name) == ('_codecs', 'encode'):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{module}.{name} has no place in an array of names')


def _read_npz(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file, arrays of Python strings among them.

    Raises:
        DataError: The file is damaged, or has not all of them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            absent = [name for name in names if f'{name}.npy' not in archive.namelist()]
            if absent:
                raise DataError(f'{path}: there is no {" and no ".join(absent)} in the file')
            large = sum(archive.getinfo(f'{name}.npy').file_size for name in names)
            if large > MAX_BYTES:
                raise DataError(f'{path}: unpacks to {large:,} bytes, more than any scene has')
            return {name: _read_array(archive.read(f'{name}.npy')) for name in names}
    except DataError:
        raise
    except Exception as error:  # damaged archives and pickles fail in any way
        raise DataError(f'{path}: cannot be read ({error}); get it again') from None


def _read_array(data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)
    names = _ArrayUnpickler(stream, encoding='latin1').load().values
    if not isinstance(names, list) or not all(isinstance(n, (str, type(None))) for n in names):
        raise ValueError('an array of something else than names')
    return np.array(names, object).reshape(shape)
