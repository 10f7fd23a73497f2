"""Fixtures of all tests."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Workers that run side by side share the cores: more threads than cores wait for one another. It
# has to be said before torch is imported, and reaches the processes that tests start.
WORKERS = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
if WORKERS > 1:
    threads = max(1, len(os.sched_getaffinity(0)) // WORKERS)
    os.environ.setdefault('OMP_NUM_THREADS', str(threads))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_LOGGER = 'mmengine'
# the tools find what they share beside them
sys.path.append(str(ROOT / 'tools'))
pytest_plugins = ['tests.command_lines', 'tests.tiny_segmentor']


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout, for tests that start command lines."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference data that lies beside the checkout; tests that use it skip without it."""
    path = Path(os.environ.get('DSR_NSS_SHARED', ROOT.parent / 'shared'))
    if not path.is_dir():
        pytest.skip(f'reference data not found: {path}')
    return path


@pytest.fixture(scope='session')
def fill(shared_dir: Path):
    """What fills published networks with known values."""
    from tests.models.segmentors.networks import load_fill

    return load_fill(shared_dir)


@pytest.fixture(scope='session')
def reference(shared_dir: Path) -> Callable:
    """Outputs of a published network on them, by its name."""
    return lambda name: np.load(shared_dir / 'reference' / 'parity' / f'{name}.npz')


@pytest.fixture
def timm_without_random_weights(monkeypatch) -> None:
    """For tests that replace all weights: timm's random ones take a second for each network."""
    for module in (timm.models.vision_transformer, timm.models.eva, timm.models.convnext):
        monkeypatch.setattr(module, 'trunc_normal_', lambda tensor, **kwargs: tensor)


@pytest.fixture(scope='session', autouse=True)
def mmseg_scope() -> None:
    """What every config does: names are looked up in mmseg's registries."""
    from mmseg.utils import register_all_modules

    import dsr_nss  # noqa: F401

    register_all_modules(init_default_scope=True)
    # mmengine's default logger, before any test's capture of what is printed
    assert MMLogger.get_current_instance().name == DEFAULT_LOGGER


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every test, whichever ran before it and however often."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_logger_of_another_test() -> Iterator[None]:
    """mmengine's logger of a run writes to streams that are closed when its test is over."""
    yield
    loggers = MMLogger._instance_dict  # nothing public takes one out
    for name in [name for name in loggers if name != DEFAULT_LOGGER]:
        del loggers[name]


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(7)


def pytest_terminal_summary(terminalreporter) -> None:
    """A comparison with published code that did not run is said, not passed over."""
    skipped = [
        report
        for report in terminalreporter.stats.get('skipped', ())
        if 'parity' in getattr(report, 'keywords', {})
    ]
    reasons = sorted({report.longrepr[2] for report in skipped if report.longrepr})
    if skipped:
        terminalreporter.write_line(
            f'{len(skipped)} parity tests were skipped: {"; ".join(reasons)}'
        )
