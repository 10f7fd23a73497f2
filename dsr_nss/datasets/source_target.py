"""The training set: a labelled day image and an unlabelled night image with its day reference."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dsr_nss.datasets.base import RoadSceneDataset
from dsr_nss.datasets.class_statistics import ClassCounts, count_label
from dsr_nss.datasets.crops import CropBox, random_box, source_box
from dsr_nss.datasets.images import require_same_size
from dsr_nss.datasets.label_findings import label_findings, sampled_labels
from dsr_nss.datasets.pixel_cache import CachedFiles
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile, PixelSource, Size
from dsr_nss.datasets.rare_class_sampling import RareClassSampling
from dsr_nss.datasets.shuffled_passes import ShuffledPasses
from dsr_nss.errors import DataError
from dsr_nss.values import Bounds, Count, FieldsOf, PositiveShare, Share, checked


@DATASETS.register_module()
@checked
class SourceTargetDataset(Dataset):
    """Maps a sample number to one training item.

    Everything random is a function of `seed` and the sample number, so an item depends neither on
    the worker that makes it nor on the number of processes. The source image comes from rare-class
    sampling or, without it, from a shuffled pass over the source set; the night image from a
    shuffled pass over the target set. A night image and its reference share their crop and flip.

    An item has the keys `source_image` uint8 `(3, H, W)` RGB, `source_label` uint8 `(H, W)` (train
    ids, 255 = ignore), `source_file`; with a target also `night_image` and `reference_image` uint8
    `(3, H, W)` RGB (zeros where there is no reference), `has_reference` bool `()`, `night_file` and
    `reference_file` ('' where there is none).

    Args:
        source: Config of the labelled set.
        target: Config of the night set; None trains on the source alone.
        crop_size: (height, width) of all crops.
        seed: Decides all draws.
        source_scale: (height, width) that source images are resized to before cropping; None keeps
            them.
        target_scale: (height, width) that night images and references are resized to before
            cropping; None keeps them.
        rare_class_sampling: Fields of `RareClassSampling`; None draws source images evenly.
        max_class_share: A source crop in which one class fills more of the labelled pixels than
            this is drawn again, as often as `crops.source_box` says; then the last one is taken.
        flip: Probability of mirroring; source and night are drawn independently.
        cache: A folder that `tools/prepare_data.py --cache` filled for the same sets and scales:
            items are cut from it instead of from decoded files, with the same pixels. None decodes.

    Raises:
        DataError: A set is none of this package's, the source has no labels, or the cache is
            incomplete or out of date.
    """

    def __init__(
        self,
        *,
        source: Mapping[str, Any],
        crop_size: tuple[Count, Count],
        target: Mapping[str, Any] | None = None,
        seed: Annotated[int, Bounds(0)] = 0,
        source_scale: tuple[Count, Count] | None = None,
        target_scale: tuple[Count, Count] | None = None,
        rare_class_sampling: Annotated[Mapping, FieldsOf(RareClassSampling)] | None = None,
        max_class_share: PositiveShare = 0.75,
        flip: Share = 0.5,
        cache: str | None = None,
    ) -> None:
        self.source = training_part('source', DATASETS.build(dict(source)))
        self.target = (
            None if target is None else training_part('target', DATASETS.build(dict(target)))
        )
        self.crop_size = _size(crop_size)
        self.seed = seed
        self.source_scale = None if source_scale is None else _size(source_scale)
        self.target_scale = None if target_scale is None else _size(target_scale)
        self.max_class_share = max_class_share
        self.flip = flip
        self.num_classes = len(self.source.metainfo['classes'])
        labels = self.source.labels()
        counts = None if rare_class_sampling is None else self.source.class_counts()
        #: What the labels show that is worth a warning, one sentence each.
        self.findings = self._look_at(labels, counts)
        self.sampling = None
        if rare_class_sampling is not None and counts is not None:
            self.sampling = RareClassSampling(
                counts=counts,
                keys=[info['key'] for info in _infos(self.source)],
                classes=self.source.metainfo['classes'],
                crop_size=self.crop_size,
                **rare_class_sampling,
            )
        self._source_order = ShuffledPasses(len(self.source), seed=seed, stream=1)
        self._target_order = ShuffledPasses(len(self), seed=seed, stream=2)
        self._pixels: PixelSource = (
            DecodedFiles() if cache is None else CachedFiles(cache, self.files())
        )
        self._log_sizes()

    def _look_at(self, labels: Mapping[str, str], counts: ClassCounts | None) -> list[str]:
        """Logs what stands out in the labels; without statistics, in a sample of them."""
        if counts is None:
            chosen = sampled_labels(list(labels.values()))
            counts = {path: count_label(path, self.num_classes) for path in chosen}
        pixels: Counter[int] = Counter()
        for row in counts.values():
            pixels.update(row)
        classes = self.source.metainfo['classes']
        findings = [
            f'{self.source.title}: {finding}'
            for finding in label_findings(pixels, classes, list(labels.values()), len(counts))
        ]
        for finding in findings:
            print_log(finding, 'current', logging.WARNING)
        return findings

    def _log_sizes(self) -> None:
        text = f'source: {len(self.source)} labelled images ({self.source.title})'
        if self.target is not None:
            infos = list(_infos(self.target))
            paired = sum(info['reference_path'] is not None for info in infos)
            text += (
                f'; target: {len(infos)} night images ({self.target.title}), '
                f'{paired} with a day reference'
            )
        print_log(text, 'current')

    def files(self) -> list[PixelFile]:
        """All files that items are made from, each once."""
        files = []
        for info in _infos(self.source):
            files.append(PixelFile(info['img_path'], False, self.source_scale))
            files.append(PixelFile(info['seg_map_path'], True, self.source_scale))
        for info in _infos(self.target):
            files.append(PixelFile(info['img_path'], False, self.target_scale))
            if info['reference_path'] is not None:
                files.append(PixelFile(info['reference_path'], False, self.target_scale))
        return list(dict.fromkeys(files))

    @property
    def metainfo(self) -> dict[str, Any]:
        """Class names and palette; mmengine saves them with a checkpoint."""
        return self.source.metainfo

    def __len__(self) -> int:
        """Length of an epoch: the night images, or the source images without a target."""
        return len(self.source if self.target is None else self.target)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The item of a global sample number (0, 1, 2, ... without end).

        Raises:
            DataError: A file cannot be used; the message names it.
            FileNotFoundError: A file has vanished since the start.
        """
        if get_worker_info() is not None:
            cv2.setNumThreads(0)  # the workers already use the cores
        # Two independent streams: what the night image looks like does not depend on how many crops
        # of the source image were tried.
        source_rng, night_rng = np.random.default_rng((self.seed, number)).spawn(2)
        item = self._source_item(number, source_rng)
        if self.target is not None:
            item.update(self._night_item(number, night_rng))
        return item

    def _source_item(self, number: int, rng: np.random.Generator) -> dict[str, Any]:
        draw = self.sampling.draw(rng) if self.sampling else None
        index = draw.index if draw else self._source_order[number]
        info = self.source.get_data_info(index)
        file, label_file = info['img_path'], info['seg_map_path']
        image = self._pixels.read(PixelFile(file, False, self.source_scale))
        label = self._pixels.read(PixelFile(label_file, True, self.source_scale))
        require_same_size(file, image.native, label_file, label.native)
        box = source_box(
            rng,
            label.array,
            self.crop_size,
            num_classes=self.num_classes,
            max_class_share=self.max_class_share,
            path=label_file,
            class_id=draw.class_id if draw else None,
            min_class_pixels=draw.min_crop_pixels if draw else 0.0,
            max_tries=self.sampling.max_tries if self.sampling else 1,
        )
        mirror = rng.random() < self.flip
        return {
            'source_image': _image_tensor(image.array, box, mirror),
            'source_label': _label_tensor(label.array, box, mirror),
            'source_file': file,
        }

    def _night_item(self, number: int, rng: np.random.Generator) -> dict[str, Any]:
        assert self.target is not None
        info = self.target.get_data_info(self._target_order[number])
        file, reference_file = info['img_path'], info['reference_path']
        night = self._pixels.read(PixelFile(file, False, self.target_scale))
        reference = None
        if reference_file is not None:
            reference = self._pixels.read(PixelFile(reference_file, False, self.target_scale))
        if reference is not None and reference.native != night.native:
            raise DataError(
                f'{file} is {night.native[0]}x{night.native[1]} (height x width) but its day '
                f'reference {reference_file} is {reference.native[0]}x{reference.native[1]}; they '
                'must have the same size, because both get the same crop'
            )
        box = random_box(rng, night.array.shape[:2], self.crop_size, file)
        mirror = rng.random() < self.flip
        night_image = _image_tensor(night.array, box, mirror)
        if reference is None:
            reference_image = torch.zeros_like(night_image)
        else:
            reference_image = _image_tensor(reference.array, box, mirror)
        return {
            'night_image': night_image,
            'reference_image': reference_image,
            'has_reference': torch.tensor(reference is not None),
            'night_file': file,
            'reference_file': reference_file or '',
        }


def training_part(name: str, dataset: Any) -> RoadSceneDataset:
    """Gives a set back that can be trained on.

    Args:
        name: source or target.
        dataset: What the config names.

    Raises:
        DataError: It is none of this package's sets: those of mmseg know neither day references
            nor the files of their labels.
    """
    if not isinstance(dataset, RoadSceneDataset):
        raise DataError(
            f'the {name} is a {type(dataset).__module__}.{type(dataset).__name__}, which cannot be '
            "trained on: take a set of dsr_nss.datasets, type='FolderDataset' for any folders"
        )
    return dataset


def _infos(dataset: RoadSceneDataset | None) -> Iterator[dict[str, Any]]:
    """The `data_info` of each element; nothing without a set."""
    if dataset is not None:
        yield from (dataset.get_data_info(i) for i in range(len(dataset)))


def _size(field: Sequence[int]) -> Size:
    height, width = field  # a list, where it comes from a command line
    return height, width


def _image_tensor(image: np.ndarray, box: CropBox, mirror: bool) -> Tensor:
    """The crop of an `(H, W, 3)` image as a contiguous `(3, h, w)` tensor of its own."""
    crop = box.cut(image)
    crop = crop[:, ::-1] if mirror else crop
    return torch.from_numpy(crop.transpose(2, 0, 1).copy())


def _label_tensor(label: np.ndarray, box: CropBox, mirror: bool) -> Tensor:
    """The crop of an `(H, W)` label as a contiguous `(h, w)` tensor of its own."""
    crop = box.cut(label)
    return torch.from_numpy((crop[:, ::-1] if mirror else crop).copy())
