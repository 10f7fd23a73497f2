"""Everything that would stop a training, found before its first step and told together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from dsr_nss.datasets.crops import random_box
from dsr_nss.datasets.images import read_image
from dsr_nss.datasets.source_target import SourceTargetDataset, training_part
from dsr_nss.engine.components import registered
from dsr_nss.engine.config import read_config, use_scope
from dsr_nss.engine.disk_space import checkpoint_bytes, disk_problems, meta_model
from dsr_nss.engine.encoder_widths import check_widths
from dsr_nss.engine.launch import build_problem, configure_run
from dsr_nss.engine.options import Options
from dsr_nss.engine.smoke import use_nightscape
from dsr_nss.engine.work_dirs import check_folder
from dsr_nss.errors import EXPLAINED, ConfigError, DataError
from dsr_nss.inspection.doctor import Report, check_pairs, check_set, check_weights
from dsr_nss.matching.image_pairs import PairDataset


def prepare_run(
    path: str | Path,
    options: Options | None = None,
    *,
    overlays: Sequence[str | Path] = (),
    max_iters: int | None = None,
    log: str | None = None,
    smoke_data: Path | None = None,
    allow_changes: bool = False,
    **run: Any,
) -> Config:
    """A config that is ready for `dsr_nss.engine.launch.train`; nothing is written or trained yet.

    Looked at are the fields of the config, the work dir, the start weights, the data (listed, a few
    files opened), the network (built without memory) and the space for its checkpoints.

    Args:
        path, options, overlays, max_iters, log: See `read_config`.
        smoke_data: Folder for a set that a smoke test draws where the config's are not there; None:
            the run is no smoke test.
        allow_changes: The work dir may hold a run of another config.
        **run: Arguments of `configure_run`.

    Raises:
        ConfigError: Every problem that was found, a sentence each.
    """
    problems: list[str] = []
    config = read_config(
        path,
        options,
        overlays=overlays,
        max_iters=max_iters,
        smoke=smoke_data is not None,
        log=log,
        problems=problems,
    )
    use_scope(config)
    if smoke_data is not None and not problems:
        notice = use_nightscape(config, smoke_data)
        if notice is not None:
            print_log(notice)

    def folder() -> Iterator[str]:
        configure_run(config, **run)
        check_folder(config, allow_changes)
        yield from ()

    broken = bool(problems)
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        folder,
        lambda: _weights(config),
        lambda: _data(config),
        lambda: _network(config, broken),
    )
    for check in checks:
        problems += _found(check, broken)
    problems = list(dict.fromkeys(problems))
    if len(problems) > 1:
        problems = [f'{len(problems)} things keep this run from starting:', *problems]
    if problems:
        raise ConfigError('\n  '.join(problems))
    return config


def _found(step: Callable[[], Iterator[str]], broken: bool) -> list[str]:
    """What a step finds; after a broken config, an error of ours may be a consequence of it."""
    found: list[str] = []
    try:
        for problem in step():
            found.append(problem)
    except EXPLAINED as error:
        found.append(str(error))
    except Exception:
        if not broken:
            raise
    return found


def _weights(config: Config) -> Iterator[str]:
    report = Report()
    check_weights(report, config)
    yield from report.problems


def _data(config: Config) -> Iterator[str]:
    """Every set that is read, one by one, and whether a crop fits into the images of each."""
    report, training = Report(), config.train_dataloader['dataset']
    kinds = registered(training['type'])
    if any(isinstance(kind, type) and issubclass(kind, PairDataset) for kind in kinds):
        check_pairs(report, training)
    validated = (config.get('val_dataloader') or {}).get('dataset')
    if validated:
        check_set(report, validated, True)
    if SourceTargetDataset in kinds:
        for part in ('source', 'target'):
            if training.get(part) and check_set(report, training[part], True):
                _check_crop(report, training, part)
    yield from report.problems


def _check_crop(report: Report, training: Mapping[str, Any], part: str) -> None:
    scale, crop = training.get(f'{part}_scale'), tuple(training['crop_size'])
    try:
        dataset = training_part(part, DATASETS.build({**training[part], 'pipeline': []}))
        path = dataset.get_data_info(0)['img_path']
        size = tuple(scale) if scale else read_image(path).shape[:2]
        random_box(np.random.default_rng(0), size, crop, path)
    except DataError as error:
        report.fail(str(error))


def _network(config: Config, broken: bool) -> Iterator[str]:
    """Whether it can be built, and whether its checkpoints fit on the disk."""
    if not broken:
        check_widths(config)
    try:
        model = meta_model(config)
    except (TypeError, KeyError, ConfigError) as error:
        problem = build_problem(error, config)
        # what a constructor says of a field has been said of the config
        if problem is not None and not (broken and isinstance(error, ConfigError)):
            yield problem
        return
    except (RuntimeError, NotImplementedError):
        return  # a network from outside that cannot be built without memory: the run will tell
    yield from disk_problems(
        config, checkpoint_bytes(model, config.optim_wrapper.get('optimizer') or {})
    )
