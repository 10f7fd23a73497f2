"""The archive of predictions that a test server takes."""

from pathlib import Path

from mmengine.config import Config

from dsr_nss.classes import CLASSES
from dsr_nss.datasets.base import first_of
from dsr_nss.engine.devices import default_device
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.evaluate import check_classes, require_usable
from dsr_nss.evaluation.submission import SubmissionWriter
from dsr_nss.evaluation.submission_formats import submission_format
from dsr_nss.evaluation.test_sets import CheckedDataset, prediction_names, select_datasets
from dsr_nss.files import make_folder
from dsr_nss.inference.adapt_batch_norm import renew_statistics
from dsr_nss.inference.load import load_model
from dsr_nss.inference.predict import compile_stages, predict_set

#: Server -> the set of `config.test_sets` that it scores.
SUBMISSION_SETS = {
    'dark_zurich': 'dark_zurich_test',
    'acdc': 'acdc_test',
    'cityscapes': 'cityscapes_test',
}


def write_submission(
    config: Config,
    checkpoint: str | Path,
    kind: str,
    path: str | Path,
    *,
    name: str | None = None,
    invalid_below: float | None = None,
    which: str = 'student',
    batch_norms: str = 'plain',
    tta: bool = False,
    amp: str | None = None,
    compiled: bool = False,
    device: str | None = None,
    workers: int = 2,
) -> tuple[Path, int]:
    """Predicts a test split and writes the archive for its server, whole or not at all.

    Args:
        config: Config with the model and `test_sets`; see `read_model_config`.
        checkpoint: Weight file, in one of the forms that `load_model` reads.
        kind: One of `SUBMISSION_SETS`.
        path: The archive.
        name: Another set of `config.test_sets` than `SUBMISSION_SETS[kind]`, e.g. one condition.
        invalid_below: Confidence below which a pixel is predicted as invalid; see
            `SubmissionWriter`.
        which, batch_norms, tta, amp, compiled, device, workers: Same meaning as in
            `dsr_nss.evaluation.evaluate`.

    Returns:
        The archive and how many images it holds.

    Raises:
        ConfigError, CheckpointError, DataError, FileNotFoundError: What is missing or wrong.
    """
    path = Path(path)
    make_folder(path.parent)
    if invalid_below is not None and not submission_format(kind).abstains:
        raise ConfigError(f'--invalid-below: {kind} takes no predictions with invalid pixels')
    name = name or SUBMISSION_SETS[kind]
    dataset = select_datasets(config, [name])[name]
    model = load_model(config, checkpoint, which, device or default_device())
    check_classes(model, dataset, name)
    if tuple(dataset.metainfo['classes']) != CLASSES:
        raise ConfigError(
            f'{name} has classes of its own ({first_of(dataset.metainfo["classes"])}); the servers '
            'score the 19 of Cityscapes, in their order'
        )
    if batch_norms != 'plain':
        renew_statistics(model, config, batch_norms)
    if compiled:
        compile_stages(model)
    files = prediction_names(dataset)
    unusable: list[str] = []
    with SubmissionWriter(kind, path, files, invalid_below=invalid_below) as writer:
        for index, prediction, sample in predict_set(
            model,
            CheckedDataset(dataset),
            range(len(files)),
            title=name,
            tta=tta,
            amp=amp,
            with_confidence=writer.format.needs_confidence,
            workers=workers,
            unusable=unusable,
        ):
            confidence = sample['confidence'].cpu().numpy() if 'confidence' in sample else None
            writer.add(files[index], prediction.cpu().numpy(), confidence)
        require_usable(name, unusable, files)
    return path, len(files)
