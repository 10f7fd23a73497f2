"""The statistics of a trained network's batch norms, taken anew on target or on source images.

Nothing is trained and no label is read. On the target (AdaBN) it shows how much of an adaptation's
gain is a matter of statistics; on the source (PreciseBN) how much of that is not the target's but a
matter of the running means, which short runs leave far from the final weights'. Both look at whole
images one at a time, so they differ in the images alone. A network without batch norms (MiT's are
layer norms; the DAFormer head has some) has nothing to take.

Sources: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016; Wu and
Johnson, "Rethinking 'Batch' in BatchNorm", 2021, which average over training batches instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import save_checkpoint_file, sha256_of
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile
from dsr_nss.errors import ConfigError
from dsr_nss.files import make_folder, require_other_files
from dsr_nss.inference.load import model_of
from dsr_nss.shipped import shipped_file

#: How a network's statistics are called -> the training images that they are taken anew on.
BATCH_NORMS = {'plain': None, 'adabn': 'target', 'precise': 'source'}


class AdaptedNorms(NamedTuple):
    """What was done.

    Attributes:
        images: Images that the statistics are of.
        norms: Batch norms of the network.
    """

    images: int
    norms: int


def adapt_batch_norm(
    config: Config,
    checkpoint: str | Path,
    destination: str | Path,
    which: str = 'student',
    device: str | torch.device = 'cpu',
    batch_norms: str = 'adabn',
) -> AdaptedNorms:
    """Writes the network with statistics of the config's training images.

    Args:
        config: A training config; see `dsr_nss.inference.load.load_model`.
        checkpoint: The trained network.
        destination: The file to write: a checkpoint of the segmentor alone, with its classes, the
            config that the trained network carries and, under `provenance`, what was done.
        which: `'student'` or `'teacher'` of the checkpoint.
        device: Device on which the network runs.
        batch_norms: `'adabn'` or `'precise'`; see `renew_statistics`.

    Raises:
        ConfigError, DataError: Same as in `renew_statistics`; also a destination that is the
            checkpoint, a folder, or in a folder that cannot be made.
    """
    path = shipped_file(checkpoint)
    require_other_files([path], [destination])
    make_folder(Path(destination).parent)
    content = load_checkpoint_file(path)
    model = model_of(content, config, path, which, device)
    done = renew_statistics(model, config, batch_norms)
    provenance = dict(
        source=path.name,
        sha256=sha256_of(path),
        model=which,
        notes=[f'batch norms: {batch_norms}, statistics of {done.images} images'],
    )
    meta: dict[str, Any] = dict(dataset_meta=model.dataset_meta, provenance=provenance)
    trained = content.get('meta')
    if isinstance(trained, Mapping) and isinstance(trained.get('cfg'), str):
        meta['cfg'] = trained['cfg']
    save_checkpoint_file(Path(destination), {'meta': meta, 'state_dict': model.state_dict()})
    return done


def renew_statistics(model: nn.Module, config: Config, batch_norms: str) -> AdaptedNorms:
    """Takes the statistics of a network anew, in place.

    The images pass one at a time, resized as in training (`target_scale`, `source_scale`) and cut
    as in a test (`test_cfg`); every pass has the same weight.

    Args:
        model: What `load_model` returned; it is in eval mode afterwards.
        config: A training config that names the images.
        batch_norms: `'adabn'`: the night images of the target; `'precise'`: the source images.

    Raises:
        ConfigError: The config does not name these images, or the network has no batch norm, or
            one behind a pooling of the whole image.
        DataError: An image cannot be used.
    """
    domain = BATCH_NORMS[batch_norms]
    training = (config.get('train_dataloader') or {}).get('dataset') or {}
    named, scale = training.get(domain), training.get(f'{domain}_scale')
    if named is None:
        raise ConfigError(
            f'train_dataloader.dataset.{domain}: the config names no {domain} images. Take one '
            'that does: an adaptation to them with the same network'
        )
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        raise ConfigError(f'the {type(model).__name__} of this config has no batch norm')
    images = DATASETS.build({**named, 'pipeline': []})
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all passes
        norm.train()
    size = None if scale is None else (int(scale[0]), int(scale[1]))
    for i in range(len(images)):
        try:
            _look(model, PixelFile(images.get_data_info(i)['img_path'], False, size))
        except ValueError as error:
            if 'more than 1 value per channel' not in str(error):
                raise
            raise ConfigError(
                f'a batch norm of the {type(model).__name__} of this config sees one value of an '
                'image (it pools the whole image), which has no variance: such a network cannot '
                'take its statistics anew'
            ) from error
    model.eval()
    return AdaptedNorms(len(images), len(norms))


@torch.no_grad()
def _look(model: nn.Module, file: PixelFile) -> None:
    image = DecodedFiles().read(file).array
    bgr = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())
    size = image.shape[:2]
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, pad_shape=size))
    # mmseg's preprocessor notes there how it padded the image
    batch = model.data_preprocessor({'inputs': [bgr], 'data_samples': [sample]}, False)
    model.inference(batch['inputs'], [sample.metainfo])
