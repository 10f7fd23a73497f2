"""Every training config has a smoke test of itself, small and without any weights."""

import pytest
from mmengine.config import Config

from dsr_nss.engine.components import components
from dsr_nss.engine.config import read_config
from dsr_nss.engine.disk_space import checkpoint_bytes, meta_model
from dsr_nss.engine.smoke import CROP, ITERATIONS, TEST_SIZE, use_nightscape
from tests.test_configs import CONFIGS

#: Networks that were built already: sizes of an encoder shrink to the same one.
BUILT: dict[str, int] = {}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_has_a_small_one_that_builds_without_weights(path):
    config = read_config(path, smoke=True)
    assert config.train_cfg.max_iters == ITERATIONS
    for where, part in components(config.model, 'model'):
        assert part.get('init_cfg') is None and not part.get('pretrained'), where
        assert part['type'] != 'UAWarpC', where
    dataset = config.train_dataloader.dataset
    crop = config.model.crop_size if 'crop_size' not in dataset else dataset.crop_size
    assert tuple(crop) == (CROP, CROP)
    if config.get('val_dataloader'):
        tested = config.val_dataloader.dataset
        assert tested.indices == 2 and tested.pipeline[1] == dict(type='Resize', scale=TEST_SIZE)
        assert config.train_cfg.val_interval == ITERATIONS
    network = str(config.model)
    if network not in BUILT:
        BUILT[network] = checkpoint_bytes(meta_model(config), config.optim_wrapper.optimizer)
    assert BUILT[network] < 400e6


def test_options_have_the_last_word(repo_root):
    path = repo_root / 'configs/dsr_hrda_darkzurich.py'
    options = ['train_dataloader.dataset.crop_size=(160,160)', 'train_dataloader.batch_size=3']
    config = read_config(path, options, max_iters=6, smoke=True)
    assert config.model.bank.size == (160, 160) and config.train_dataloader.batch_size == 3
    assert config.train_cfg.max_iters == config.train_cfg.val_interval == 6


@pytest.fixture
def drawn(monkeypatch):
    """The calls of the generator, which draws nothing here."""
    calls = []
    monkeypatch.setattr('dsr_nss.engine.smoke.generate', lambda *a, **k: calls.append(a))
    return calls


def test_absent_sets_are_replaced_all_of_them_and_it_is_said(drawn, repo_root, tmp_path):
    for name in ('dsr_hrda_darkzurich', 'camvid/dsr_camviddusk', 'align/uawarpc_megadepth'):
        config = read_config(repo_root / f'configs/{name}.py', smoke=True)
        said = use_nightscape(config, tmp_path / 'set')
        assert 'data/' in said and 'not there' in said
        text = str([config.train_dataloader.dataset, config.get('val_dataloader')])
        assert str(tmp_path / 'set') in text and "data_root': 'data" not in text
    assert len(drawn) == 3


def test_sets_that_are_there_and_own_classes_stay(drawn, tmp_path):
    def config(root, **more):
        part = dict(type='FolderDataset', data_root=str(root), images='a', **more)
        return Config(dict(train_dataloader=dict(dataset=dict(source=part, crop_size=(8, 8)))))

    assert use_nightscape(config(tmp_path), tmp_path / 'set') is None
    own = dict(metainfo=dict(classes=['rock', 'sand']))
    assert use_nightscape(config(tmp_path / 'gone', **own), tmp_path / 'set') is None
    assert not drawn
