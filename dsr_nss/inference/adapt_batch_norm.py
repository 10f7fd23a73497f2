"""AdaBN: the statistics of a trained network's batch norms, taken anew on target images.

Nothing is trained and no label is read, so it shows how much of an adaptation's gain is a matter of
statistics. A network without batch norms (MiT's are layer norms; the DAFormer head has some) has
little to take.

Source: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dsr_nss.checkpoints.writing import save_checkpoint_file
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile
from dsr_nss.errors import ConfigError
from dsr_nss.inference.load import load_model


class AdaptedNorms(NamedTuple):
    """What was done.

    Attributes:
        images: Target images that the statistics are of.
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
) -> AdaptedNorms:
    """Writes the network with the statistics of the config's training night images.

    The images pass one at a time, resized as in training (`target_scale`) and cut as in a test
    (`test_cfg`); every pass has the same weight.

    Args:
        config: A training config with a target; see `dsr_nss.inference.load.load_model`.
        checkpoint: The trained network.
        destination: The file to write: a checkpoint of the segmentor alone, which
            `tools/test.py CONFIG` takes.
        which: `'student'` or `'teacher'` of the checkpoint.
        device: Device on which the network runs.

    Raises:
        ConfigError: The config has no target, or the network no batch norm.
        DataError: An image cannot be used.
    """
    training = config.get('train_dataloader', {}).get('dataset', {})
    target, scale = training.get('target'), training.get('target_scale')
    if target is None:
        raise ConfigError('train_dataloader.dataset.target: the config names no target images')
    model = load_model(config, checkpoint, which, device)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        raise ConfigError(f'the {type(model).__name__} of this config has no batch norm')
    images = DATASETS.build({**target, 'pipeline': []})
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all passes
        norm.train()
    for i in range(len(images)):
        size = None if scale is None else (int(scale[0]), int(scale[1]))
        _look(model, PixelFile(images.get_data_info(i)['img_path'], False, size))
    save_checkpoint_file(Path(destination), {'meta': {}, 'state_dict': model.state_dict()})
    return AdaptedNorms(len(images), len(norms))


@torch.no_grad()
def _look(model: nn.Module, file: PixelFile) -> None:
    image = DecodedFiles().read(file).array
    bgr = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())
    batch = model.data_preprocessor({'inputs': [bgr], 'data_samples': None}, False)
    size = image.shape[:2]
    model.inference(batch['inputs'], [dict(ori_shape=size, img_shape=size, pad_shape=size)])
