"""`--smoke`: the whole way of a training in a minute on a CPU, to see that a config runs at all.

A pure change of the config: few steps on tiny crops, the smallest encoder of its kind from random
weights, one validation of two shrunken images. What a run would learn cannot be told from it.
"""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.classes import CLASSES
from dsr_nss.engine.components import components, registered
from dsr_nss.engine.length import scale_length
from dsr_nss.models.initialise import loads_unasked
from dsr_nss.nightscape.generate import Settings, generate

#: Iterations, side of a crop, and (width, height) that a test image is shrunk to.
ITERATIONS, CROP, TEST_SIZE = 4, 128, (256, 128)
#: Images of the pairs for dense matching are larger than what is cut out of them.
PAIR_SIZE = 180
#: The smallest networks of a kind: type -> its fields.
SMALLEST: dict[str, dict[str, Any]] = {
    'MiT': dict(arch='b0'),
    'ResNetEncoder': dict(depth=18),
    'RefineNetHead': dict(channels=48, coarsest_channels=96),
}
#: Aligners that work with trained weights only.
_TRAINED_ALIGNERS = ('UAWarpC', 'LoFTR', 'XFeat')
#: Scenes and (height, width) of the set that stands in for absent ones.
_SCENES, _SCENE_SIZE = 4, (160, 320)


def make_smoke(config: Config, max_iters: int | None = None) -> None:
    """Makes a config the smoke test of itself, in place, before fields that follow are filled in.

    Args:
        config: A training config.
        max_iters: Length of the run; None: `ITERATIONS`.

    Raises:
        ConfigError: The config does not count iterations.
    """
    iterations = max_iters or ITERATIONS
    scale_length(config, iterations)
    if config.train_cfg.get('val_interval') is not None:
        config.train_cfg.val_interval = iterations
    hooks = config.get('default_hooks') or {}
    for name, interval in (('checkpoint', iterations), ('panel', iterations)):
        if hooks.get(name):
            hooks[name]['interval'] = interval
    for name in ('load_from', 'compile'):
        if config.get(name):
            config[name] = None
    _shrink_data(config)
    if config.get('model'):
        forget_weights(config.model)
        _shrink_networks(config.model)


def _shrink_data(config: Config) -> None:
    for name in ('train_dataloader', 'val_dataloader'):
        loader = config.get(name)
        if loader:
            loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
            loader['batch_size'] = min(2, loader.get('batch_size', 1))
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    for field, side in (('crop_size', CROP), ('size', PAIR_SIZE)):
        if field in dataset:
            dataset[field] = (side, side)
    for field in ('rare_class_sampling', 'cache'):  # statistics of all labels, all pixels
        if dataset.get(field):
            dataset[field] = None
    tested = (config.get('val_dataloader') or {}).get('dataset')
    if tested:
        tested['indices'] = 2
        loaded, *rest = tested.get('pipeline') or [dict(type='LoadImageFromFile')]
        tested['pipeline'] = [loaded, dict(type='Resize', scale=TEST_SIZE), *rest]


def forget_weights(node: Any, keep: tuple[type, ...] = ()) -> None:
    """Drops the names of weight files below a node, and switches weights of packages off.

    Args:
        node: A config or a part of one.
        keep: Classes that keep theirs.
    """
    for _, part in components(node):
        kinds = registered(part['type'])
        if any(isinstance(kind, type) and issubclass(kind, keep) for kind in kinds):
            continue
        if part.get('init_cfg') is not None:
            part['init_cfg'] = None
        if loads_unasked(part['type']):
            part['pretrained'] = False
        elif part.get('pretrained') is not None:
            part['pretrained'] = None


def _shrink_networks(model: Any) -> None:
    for path, part in list(components(model)):
        if part['type'] in _TRAINED_ALIGNERS:
            part.clear()
            part['type'] = 'Identity'
        part.update(SMALLEST.get(part['type'], {}))
        if part['type'] == 'TimmViT':
            name = str(part.get('model_name'))
            part['model_name'] = name.replace('large', 'small').replace('base', 'small')
        if 'in_channels' in part and 'decode_head' in path:
            part['in_channels'] = None  # of the smaller encoder: filled in
    if model.get('type') == 'WarpConsistency':
        model.update(crop_size=(CROP, CROP), train_pyramid=True)  # random features must learn
    if model.get('bank') and model.bank.get('size') is not None:
        model.bank.size = (CROP, CROP)


def use_nightscape(config: Config, folder: Path) -> str | None:
    """Trains on a tiny nightscape set where a set that the config names is not there.

    Args:
        config: A config of the package's own classes; its sets change, all of them.
        folder: Receives the set.

    Returns:
        What was done, for the user; None where all sets are there, or the classes are one's own.
    """
    training = config.train_dataloader.dataset
    tested = (config.get('val_dataloader') or {}).get('dataset')
    sets = [part for _, part in components([training, tested])]
    roots = [str(part['data_root']) for part in sets if 'data_root' in part]
    absent = [root for root in roots if not Path(root).exists()]
    stated = [part['metainfo'] for part in sets if 'metainfo' in part]
    if not absent or any(tuple(meta['classes']) != CLASSES for meta in stated):
        return None
    settings = Settings(_SCENES, 0, _SCENE_SIZE, _SCENE_SIZE)
    generate(folder, settings, workers=1, show_progress=False)
    day = dict(type='Cityscapes', data_root=str(folder / 'cityscapes'), split='train')
    night = dict(type='DarkZurich', data_root=str(folder / 'dark_zurich'), split='train')
    if 'source' in training:
        training.source = day
        if training.get('target'):
            training.target = night
    else:
        kept = training.get('size')
        training.clear()
        training.update(type='ReferencePairs', images=night, size=kept)
    if tested:
        kept = {name: tested[name] for name in ('pipeline', 'indices') if name in tested}
        tested.clear()
        tested.update({**night, 'split': 'val', **kept})
    for hook in config.get('custom_hooks') or ():
        if hook['type'] == 'PseudoLabelAccuracy':
            hook['labels'] = str(folder / 'truth/labels')
    return (
        f'{", ".join(dict.fromkeys(absent))}: not there, so this smoke test trains on a tiny '
        'nightscape set (docs/nightscape.md); tools/check_data.py says where to get the real one'
    )
