"""Drawn street scenes in the place of data sets that are not here, to time a loader with."""

from pathlib import Path

from mmengine.config import Config

from dsr_nss.nightscape import Settings, generate, parse_size

#: Data set type -> its folder in a drawn set.
_FOLDERS = {'Cityscapes': 'cityscapes', 'DarkZurich': 'dark_zurich', 'ACDC': 'acdc'}

#: Source scenes; as many as fit into a few seconds and into a file cache, as repeated epochs do.
_SCENES = 8


def missing_data(config: Config) -> dict[str, str]:
    """`'source'`, `'target'` -> folder of a training's data that is not here."""
    dataset = config.train_dataloader.dataset
    roots = {kind: (dataset.get(kind) or {}).get('data_root') for kind in ('source', 'target')}
    return {kind: root for kind, root in roots.items() if root and not Path(root).is_dir()}


def can_be_drawn(config: Config) -> bool:
    """Whether `draw` knows the folder layouts of all missing data."""
    dataset = config.train_dataloader.dataset
    return all(dataset[kind].type in _FOLDERS for kind in missing_data(config))


def drawn_options(config: Config, folder: Path) -> dict[str, str]:
    """Config options that put the data of `draw` in the place of what is missing."""
    dataset = config.train_dataloader.dataset
    return {
        f'train_dataloader.dataset.{kind}.data_root': str(folder / _FOLDERS[dataset[kind].type])
        for kind in missing_data(config)
    }


def draw(folder: Path, size: str) -> None:
    """Writes day and night scenes with labels in the layouts of the real sets.

    Args:
        folder: New or empty.
        size: `'HxW'` or `'full'`, that of the real sets.
    """
    source_size, target_size = parse_size(size)
    settings = Settings(_SCENES, 0, source_size, target_size)
    generate(folder, settings, show_progress=False)
