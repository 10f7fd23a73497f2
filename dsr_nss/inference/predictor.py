"""From Python in three lines: load a checkpoint, predict an image, look at the result."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from PIL import Image, ImageOps
from torch import Tensor, nn

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.datasets.images import read_image
from dsr_nss.engine.config import use_scope
from dsr_nss.engine.devices import AMP_TYPES, default_device
from dsr_nss.engine.resume_points import latest_checkpoint
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.inference.exported import ExportedNetwork, is_exported, load_exported
from dsr_nss.inference.load import model_of, read_model_config
from dsr_nss.inference.pictures import write_prediction
from dsr_nss.inference.predict import compile_stages, predict_batch
from dsr_nss.inference.saved_network import config_in_file
from dsr_nss.inference.transforms import image_transforms
from dsr_nss.shipped import shipped_file
from dsr_nss.visualization.colours import overlay

#: What stands for an image; arrays and tensors are RGB.
ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        labels: `(H, W)` uint8 class ids at the size of the image.
        confidence: `(H, W)` float32 probability of the predicted class, in 0..1.
        names: Name of each class; the position is the id.
        palette: RGB of each class.
        image: `(H, W, 3)` uint8 RGB, the image itself, upright.
        name: Name of the image's file without suffix; `'image'` where it came from memory. The
            second one of a name in a list or an iterator is `NAME_2`, and so on.
    """

    labels: np.ndarray
    confidence: np.ndarray
    names: tuple[str, ...]
    palette: Sequence[Sequence[int]]
    image: np.ndarray
    name: str

    def overlay(self, opacity: float = 0.5) -> np.ndarray:
        """The image with the colours of the classes over it: `(H, W, 3)` uint8 RGB."""
        return overlay(self.image, self.labels, self.palette, opacity)

    def shares(self) -> dict[str, float]:
        """Share of the pixels of each class that was predicted, the largest first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names)) / self.labels.size
        order = np.argsort(-counts, kind='stable')
        return {self.names[i]: float(counts[i]) for i in order if counts[i] > 0}

    def save(self, folder: str | Path, name: str | None = None) -> None:
        """Writes the files that `tools/infer.py --overlay` writes: class ids, colours, overlay.

        Args:
            folder: Output folder; `labelTrainIds/`, `color/` and `overlay/` are made below it.
            name: Name of the files without suffix; None: that of the image.
        """
        write_prediction(self.labels, name or self.name, Path(folder), self.palette, self.image)


class Predictor:
    """A segmentor with its test pipeline: images in, classes out.

    Args:
        model: A segmentor that is ready to predict, from `dsr_nss.inference.load`, or an exported
            one.
        config: The config that holds its `test_pipeline`.
        tta, amp: Same meaning as in `dsr_nss.inference.predict.predict`.
        compiled: Compile the network; see `compile_stages`.
    """

    def __init__(
        self,
        model: nn.Module | ExportedNetwork,
        config: Config,
        *,
        tta: bool = False,
        amp: str | None = None,
        compiled: bool = False,
    ) -> None:
        if amp is not None and amp not in AMP_TYPES:
            raise ConfigError(f'amp must be one of {sorted(AMP_TYPES)} or None, got {amp!r}')
        self.model, self.config, self.tta, self.amp = model, config, tta, amp
        self.names: tuple[str, ...] = tuple(model.dataset_meta['classes'])
        self.palette = model.dataset_meta['palette']
        #: What the test pipeline does to an image, as plain data.
        self.transforms = image_transforms(config)
        use_scope(config)  # an exported network comes without the steps that set it otherwise
        self._transforms = Compose([*self.transforms, dict(type='PackSegInputs')])
        if compiled:
            compile_stages(model)

    @overload
    def predict(self, images: ImageLike) -> Prediction: ...
    @overload
    def predict(  # type: ignore[overload-overlap]  # a path is an iterable, too
        self, images: Sequence[ImageLike], batch_size: int = 1
    ) -> list[Prediction]: ...
    @overload
    def predict(self, images: Iterable[ImageLike], batch_size: int = 1) -> Iterator[Prediction]: ...

    def predict(self, images: Any, batch_size: int = 1) -> Any:
        """Predicts one image, a list of images, or images one after the other as they come.

        Args:
            images: A file, a PIL image (turned as its EXIF data say), an array `(H, W, 3)` uint8
                RGB, or a tensor `(3, H, W)` RGB, uint8 or float in 0..1; or a list or an iterator
                of them.
            batch_size: The most neighbours of one size that go through the network together.

        Returns:
            A `Prediction`; of a list a list, of an iterator an iterator, in the same order.

        Raises:
            FileNotFoundError, DataError: An image that cannot be read; names it.
            TypeError, ValueError: Something that is no such image; names type or shape.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size must be >= 1, got {batch_size}')
        if isinstance(images, ImageLike):
            return next(self._predict_all([images], 1))
        if isinstance(images, bytes) or not isinstance(images, Iterable):
            raise _no_image(images)
        results = self._predict_all(images, batch_size)
        return list(results) if isinstance(images, (list, tuple)) else results

    def _predict_all(self, images: Iterable[ImageLike], size: int) -> Iterator[Prediction]:
        waiting, names = iter(images), set[str]()
        while taken := list(islice(waiting, size)):
            loaded = [(_pixels(image), _name(image)) for image in taken]
            while loaded:  # neighbours of one size go through together
                same = 1
                while same < len(loaded) and loaded[same][0].shape == loaded[0][0].shape:
                    same += 1
                for one in self._predict_same(loaded[:same]):
                    name = _free_name(one.name, names)  # else `save` would replace one before
                    names.add(name)
                    yield replace(one, name=name)
                loaded = loaded[same:]

    def _predict_same(self, loaded: list[tuple[np.ndarray, str]]) -> Iterator[Prediction]:
        items = [self.prepare(pixels, name) for pixels, name in loaded]
        results = self.predict_prepared(items, with_confidence=True)
        for (pixels, name), (labels, confidence) in zip(loaded, results, strict=True):
            assert confidence is not None
            stem = Path(name).stem
            yield Prediction(labels, confidence, self.names, self.palette, pixels, stem)

    def prepare(self, image: np.ndarray, origin: str) -> dict[str, Any]:
        """What the network takes: the image after the config's test pipeline.

        Args:
            image: `(H, W, 3)` uint8 RGB.
            origin: The file, or what to call the image in a message.

        Raises:
            DataError: The pipeline cannot take it.
        """
        size = image.shape[:2]
        data = dict(
            img=np.ascontiguousarray(image[..., ::-1]),  # mmseg's networks are fed BGR
            img_path=origin,
            img_shape=size,
            ori_shape=size,
        )
        try:
            return self._transforms(data)
        except Exception as error:  # any transform of any library
            raise DataError(
                f'{origin}: the test pipeline of the config cannot take this image of '
                f'{size[0]}x{size[1]} ({type(error).__name__}: {error})'
            ) from error

    def predict_prepared(
        self, items: Sequence[dict[str, Any]], *, with_confidence: bool = False
    ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Class ids `(H, W)` uint8 and, if asked for, confidence `(H, W)` float32 of each item.

        Args:
            items: From `prepare`, of images of one size.
            with_confidence: Also tell the probability of the predicted class.

        Raises:
            ValueError: The images are too small for the network.
        """
        data = pseudo_collate(list(items))
        results = predict_batch(
            self.model, data, self.tta, with_confidence=with_confidence, amp=self.amp
        )
        return [
            (ids.cpu().numpy(), sample['confidence'].cpu().numpy() if with_confidence else None)
            for ids, sample in results
        ]


def load(
    checkpoint: str | Path,
    config: Config | str | Path | None = None,
    *,
    which: str = 'student',
    device: str | torch.device = 'auto',
    tta: bool = False,
    amp: str | None = None,
    compile: bool = False,
) -> Predictor:
    """A checkpoint, or an exported network, as something that predicts.

    Without a config the one that the checkpoint carries is read as data, never executed: the
    network alone, of the classes and fields that docs/security.md lists.

    Args:
        checkpoint: A weight file, `dsr_nss::NAME` of one that comes with the package, or a run's
            folder, of which the newest checkpoint is taken; or a `.onnx` or `.pt2` file of
            `tools/export.py`, which takes neither `config`, `amp` nor `compile`.
        config: The config of the run, or any mmseg config; needed for networks of one's own.
        which: `'student'` or `'teacher'`.
        device: `'cpu'`, `'cuda'`, ...; `'auto'` is a GPU if there is one.
        tta, amp: Same meaning as in `dsr_nss.inference.predict.predict`.
        compile: Compile the network; see `compile_stages`.

    Raises:
        FileNotFoundError: No such file, or a folder without a checkpoint.
        ConfigError: A config that is missing or refused.
        CheckpointError: The file is damaged, could run code, is of another model or lacks `which`.
    """
    path = newest_checkpoint(checkpoint)
    if is_exported(path):
        _check_exported(path, config, amp, compile)
        network = load_exported(path, device)
        if which not in ('student', network.facts.network):
            raise CheckpointError(f'{path} was exported from the {network.facts.network}')
        return Predictor(network, network.config, tta=tta)
    content = load_checkpoint_file(path)
    if config is None:
        config = config_in_file(content, path)
    elif not isinstance(config, Config):
        config = read_model_config(config)
    device = default_device() if device == 'auto' else device
    model = model_of(content, config, path, which, device)
    return Predictor(model, config, tta=tta, amp=amp, compiled=compile)


def _check_exported(path: Path, config: Any, amp: str | None, compiled: bool) -> None:
    """An exported network was decided upon when it was exported."""
    given = dict(config=config is not None, amp=amp is not None, compile=compiled)
    names = [name for name, value in given.items() if value]
    if names:
        raise ConfigError(
            f'{path} is an exported network, which takes no {" or ".join(names)}; its precision is '
            'chosen by tools/export.py --half'
        )


def newest_checkpoint(path: str | Path) -> Path:
    """A file as it stands; of a run's folder the checkpoint with the most iterations.

    Raises:
        FileNotFoundError: There is none; addresses are not fetched.
        CheckpointError: The folder holds several weight files and none is a run's.
    """
    path = shipped_file(path)
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(
                f'checkpoint not found: {path} (a file or a folder; addresses are not fetched)'
            )
        return path
    newest = latest_checkpoint(path)
    if newest is not None:
        return newest
    files = sorted(file for kind in ('*.pth', '*.safetensors') for file in path.glob(kind))
    if len(files) > 1:
        raise CheckpointError(f'{path} holds {len(files)} weight files; name one of them')
    if not files:
        raise FileNotFoundError(f'{path} holds no checkpoint (iter_*.pth, *.pth, *.safetensors)')
    return files[0]


def _free_name(name: str, taken: Set[str]) -> str:
    numbered = (f'{name}_{number}' for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


def _name(image: ImageLike) -> str:
    return str(image) if isinstance(image, (str, Path)) else 'image'


def _pixels(image: ImageLike) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB of anything that stands for an image."""
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        if image.mode not in ('RGB', 'L', 'P'):
            raise ValueError(f'a PIL image must be RGB, L or P, got mode {image.mode}; convert it')
        return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    if isinstance(image, Tensor):
        return _from_tensor(image)
    if not isinstance(image, np.ndarray):
        raise _no_image(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f'an image array must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}'
        )
    return image.copy()  # a camera's buffer gets the next frame while the result is used


def _no_image(image: object) -> TypeError:
    return TypeError(
        f'an image is a path, a PIL image, an array or a tensor, got {type(image).__name__}'
    )


def _from_tensor(image: Tensor) -> np.ndarray:
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise ValueError(f'an image tensor must be (3, H, W) RGB, got {tuple(image.shape)}')
    if image.is_floating_point():
        low, high = (float(value) for value in image.aminmax())
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f'a float image tensor must lie in 0..1, got {low:g}..{high:g}; do not normalise it'
            )
        image = (image * 255).round().to(torch.uint8)
    elif image.dtype != torch.uint8:
        raise ValueError(f'an image tensor must be uint8 or float, got {image.dtype}')
    return image.permute(1, 2, 0).cpu().contiguous().numpy()
