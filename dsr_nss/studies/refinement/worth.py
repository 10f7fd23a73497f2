"""What alignment is worth: the refined pseudo-label of each aligner against the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn
from tqdm import tqdm

from dsr_nss.engine.config import open_config
from dsr_nss.engine.devices import default_device
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.functional.pseudo_label import pseudo_label
from dsr_nss.functional.warp import warp
from dsr_nss.inference.load import load_model
from dsr_nss.inference.pictures import write_picture
from dsr_nss.matching.evaluate import trained_pyramid
from dsr_nss.models.initialise import initialise_quietly
from dsr_nss.models.preprocessor import to_pixels
from dsr_nss.models.refine import Alignment
from dsr_nss.models.teacher import EMATeacher
from dsr_nss.studies.refinement import true_flow  # noqa: F401  registers the aligner TrueFlow
from dsr_nss.studies.refinement.figures import confidence_figure, view_picture
from dsr_nss.studies.refinement.scores import Tally, confidence_bins, flat_results
from dsr_nss.studies.refinement.views import Pair, Refined, pair_files, read_pairs
from dsr_nss.visualization.scores import save_png

#: The night prediction as it is.
NONE = 'none'
#: Names of the tool -> config of the aligner; `none` is there always.
ALIGNERS: dict[str, dict[str, Any]] = {
    'identity': dict(type='Identity'),
    'static_agreement': dict(type='Identity', confidence=0.0),
    'homography': dict(type='Homography'),
    'xfeat': dict(type='XFeat'),
    'uawarpc': dict(type='UAWarpC'),
    'true_flow': dict(type='TrueFlow'),
    'true_flow_uninformed': dict(type='TrueFlow', informed=False),
}
#: Without weights of a matching network.
DEFAULT_ALIGNERS = ('identity', 'homography', 'true_flow')
WITH_WEIGHTS = ('uawarpc',)
PICTURES = 'pairs'
#: Names in pictures, where they differ.
TITLES = {
    NONE: 'no reference',
    'true_flow': 'true flow',
    'true_flow_uninformed': 'true flow, P 0.5',
}


def aligner_configs(
    named: Sequence[str], data_root: str | Path, align_config: str | Path | None = None
) -> dict[str, dict[str, Any]]:
    """Configs of the aligners that a command line names.

    Args:
        named: `NAME` or `NAME=WEIGHTS` each, a key of `ALIGNERS`; `none` is taken and left out.
        data_root: Folder of the nightscape, for the true flow.
        align_config: Config of the matching network's training, whose `model.pyramid` the weights
            fit; None: VGG-16, as in published weights.

    Raises:
        ConfigError: A name or a pyramid that there is not, or weights that do not belong there.
        FileNotFoundError: No such config or weights.
    """
    configs: dict[str, dict[str, Any]] = {}
    for text in named:
        name, _, weights = text.partition('=')
        if name == NONE and not weights:
            continue
        if name not in ALIGNERS:
            raise ConfigError(f'--aligner {text}: the names are {", ".join((NONE, *ALIGNERS))}')
        if name in configs:
            raise ConfigError(f'--aligner {name} is named twice')
        if bool(weights) != (name in WITH_WEIGHTS):
            wrong = 'has no weights' if weights else f'needs its weights: --aligner {name}=FILE'
            raise ConfigError(f'--aligner {text}: {name} {wrong}')
        config = dict(ALIGNERS[name])
        if config['type'] == 'TrueFlow':
            config['data_root'] = str(data_root)
        if weights:
            if not Path(weights).is_file():
                raise FileNotFoundError(f'weight file not found: {weights}')
            config['init_cfg'] = dict(type='Pretrained', checkpoint=weights)
            config['pyramid'] = _pyramid(align_config)
        configs[name] = config
    return configs


def _pyramid(align_config: str | Path | None) -> dict[str, Any] | None:
    if align_config is None:
        return None
    model = open_config(align_config).get('model')
    if not isinstance(model, dict) or model.get('pyramid') is None:
        raise ConfigError(
            f'{align_config} has no model.pyramid: it must be the config that the matching network '
            'was trained with (configs/align)'
        )
    return trained_pyramid(model['pyramid'].to_dict())


def measure_refinement(
    config: Config,
    checkpoint: str | Path,
    aligners: Mapping[str, dict[str, Any]],
    *,
    data_root: str | Path = 'data/nightscape',
    which: str = 'teacher',
    whole: bool = False,
    limit: int | None = None,
    out: str | Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Scores of the pseudo-label of the train pairs, without a reference and with each aligner.

    The network, the normalisation and the refinement are those of the training step, and so is what
    batch norms normalise by (`model.teacher.teacher_bn`): statistics of the batch are those of one
    pair here. Images are cut as in training, but at fixed places and without mirroring.

    Args:
        config: An adaptation's, with `model.refinement`; its aligner is replaced.
        checkpoint, which: Same meaning as in `load_model`.
        aligners: Name -> config, from `aligner_configs`.
        data_root: Folder of the nightscape.
        whole: Whole images instead of crops of the config's `crop_size`.
        limit: Number of pairs to measure, counted from the first; None measures all.
        out: Folder that gets a picture of each pair (or crop), or None.
        device: None: a GPU if there is one.

    Returns:
        See `flat_results`.

    Raises:
        ConfigError: The config has no refinement or no crops, or an aligner cannot be built.
        FileNotFoundError, DataError: No nightscape with truth below `data_root`.
        CheckpointError: Weights do not fit.
    """
    settings = dict(config.model.get('refinement') or {})
    if not settings:
        raise ConfigError(
            f'{config.filename} has no model.refinement: it trains without day references'
        )
    device = device or default_device()
    names = pair_files(data_root)[:limit]
    teacher = _teacher(config, load_model(config, checkpoint, which, device))
    refinements = {name: _build(settings, aligner, device) for name, aligner in aligners.items()}
    tallies = {name: Tally() for name in (NONE, *refinements)}
    dataset = config.train_dataloader.dataset
    if not whole and 'crop_size' not in dataset:
        raise ConfigError(
            f'{config.filename} has no train_dataloader.dataset.crop_size; use --whole'
        )
    crop = None if whole else tuple(dataset.crop_size)
    pairs = read_pairs(names, crop, dataset.get('target_scale'))
    views = 0
    for pair in tqdm(pairs, unit='view', disable=None):  # a bar if there is a terminal
        results = _refine(pair, teacher, refinements)
        for name, result in results.items():
            tallies[name].add(result, results[NONE], pair.label)
        if out is not None:
            write_picture(Path(out) / PICTURES / f'{pair.name}.png', _picture(pair, results))
        views += 1
    return {'pairs': len(names), 'views': views} | flat_results(tallies)


def _teacher(config: Config, model: nn.Module) -> EMATeacher:
    """The network as the training step's teacher runs it, except that nothing in it changes."""
    settings = config.model.get('teacher') or {}
    norms = {key: settings[key] for key in ('teacher_bn',) if key in settings}
    teacher = EMATeacher(student=model, **norms)
    return teacher.train(teacher.teacher_bn != 'target')  # whose running means would go on


def _build(settings: dict[str, Any], aligner: dict[str, Any], device: str) -> nn.Module:
    try:
        module = MODELS.build({**settings, 'aligner': aligner})
    except (KeyError, TypeError) as error:
        raise ConfigError(f'aligner {aligner["type"]} cannot be built: {error}') from error
    initialise_quietly(module.aligner)
    return module.to(device)


@torch.no_grad()
def _refine(
    pair: Pair, teacher: EMATeacher, refinements: Mapping[str, nn.Module]
) -> dict[str, Refined]:
    """The pseudo-label of a pair, as `DSRNSS` makes it, for each refinement."""
    preprocessor = teacher.model.data_preprocessor
    mean, std = preprocessor.mean, preprocessor.std
    images = [torch.from_numpy(image.transpose(2, 0, 1).copy())[None] for image in pair[1:3]]
    images = [(image.to(mean.device, torch.float32) - mean) / std for image in images]
    pixels = [to_pixels(image, mean, std) for image in images]
    logits = teacher.pair(*images)
    has_reference = torch.ones(1, dtype=torch.bool, device=mean.device)
    results = {NONE: Refined(*_label(logits[0].softmax(dim=1)))}
    for name, refinement in refinements.items():
        found: list[Alignment] = []
        watch = refinement.aligner.register_forward_hook(lambda *args, to=found: to.append(args[2]))
        try:
            scores, _ = refinement(*logits, *pixels, has_reference)
        except ValueError as error:  # what an aligner cannot take
            raise DataError(f'{pair.name}, aligner {name}: {error}') from error
        finally:
            watch.remove()
        warped, valid = warp(pixels[1], found[0].flow)
        shown = torch.where(valid[:, None], warped, torch.ones_like(warped))[0]
        day = (shown * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        results[name] = Refined(*_label(scores), bool(found[0].aligned[0]), day)
    return results


def _label(scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    label, confidence = pseudo_label(scores)
    return label[0].cpu().numpy(), confidence[0].cpu().numpy()


def _picture(pair: Pair, results: Mapping[str, Refined]) -> np.ndarray:
    titles = [
        TITLES.get(name, name) if result.aligned is not False else f'{name} (failed)'
        for name, result in results.items()
    ]
    return view_picture(pair, dict(zip(titles, results.values(), strict=True)))


def write_curves(results: Mapping[str, Any], out: str | Path) -> Path:
    """Draws accuracy by confidence of a flat result; returns the file, `curves.png` in `out`."""
    curves = {TITLES.get(name, name): bins for name, bins in confidence_bins(results).items()}
    path = Path(out) / 'curves.png'
    save_png(confidence_figure(curves), path)
    return path
