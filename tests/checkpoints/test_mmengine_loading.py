"""mmengine reads weights as data too, once this package is imported."""

import os

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmseg.models.backbones import ResNet

from dsr_nss.checkpoints import CheckpointError, mmengine_loading
from dsr_nss.checkpoints.mmengine_loading import load_from_http


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ['EVIL_FOLDER'],))


@pytest.fixture
def evil_file(tmp_path, monkeypatch):
    monkeypatch.setenv('EVIL_FOLDER', str(tmp_path / 'evil'))
    torch.save({'state_dict': {'w': torch.ones(1)}, 'hooks': Evil()}, tmp_path / 'evil.pth')
    return tmp_path / 'evil.pth'


def test_start_weights_of_mmsegs_own_encoders(evil_file):
    encoder = ResNet(18, init_cfg=dict(type='Pretrained', checkpoint=str(evil_file)))
    with pytest.raises(CheckpointError, match='mkdir'):
        encoder.init_weights()
    assert not (evil_file.parent / 'evil').exists()


def test_good_files_still_load(tmp_path):
    state = {name: torch.zeros_like(value) for name, value in ResNet(18).state_dict().items()}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'a.pth')
    encoder = ResNet(18, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    encoder.init_weights()
    assert not encoder.conv1.weight.any()


def test_downloads(evil_file, tmp_path, monkeypatch):
    asked = []

    def download(url, path):
        asked.append(url)
        torch.save({'w': torch.ones(2)}, path)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    url = 'https://nowhere.example/files/weights.pth?token=1'
    for _ in range(2):
        content = CheckpointLoader.load_checkpoint(url, map_location='cpu')
        assert content['w'].tolist() == [1, 1]
    assert asked == [url]
    evil_file.rename(tmp_path / 'hub' / 'checkpoints' / 'evil-0123abcd.pth')
    with pytest.raises(CheckpointError, match='mkdir'):
        load_from_http('https://nowhere.example/evil-0123abcd.pth')
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize(
    ('several', 'rank', 'fetches'), [(True, 0, True), (True, 1, False), (False, 1, True)]
)
def test_one_process_of_each_machine_downloads(tmp_path, monkeypatch, several, rank, fetches):
    asked = []
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, path: asked.append(url))
    monkeypatch.setattr(mmengine_loading, 'is_distributed', lambda: several)
    monkeypatch.setenv('LOCAL_RANK', str(rank))
    mmengine_loading.local_file('https://nowhere.example/weights.pth')
    assert bool(asked) == fetches


@pytest.mark.parametrize(
    'name, file',
    [
        ('open-mmlab://resnet50_v1c', 'resnet50_v1c-2cccc1ad.pth'),
        ('torchvision://resnet50', 'resnet50-0676ba61.pth'),
    ],
)
def test_names_of_mmengines_lists(evil_file, tmp_path, monkeypatch, name, file):
    """mmengine finds their addresses, and would read what lies there by its own reader."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    (tmp_path / 'hub/checkpoints').mkdir(parents=True)
    evil_file.rename(tmp_path / 'hub/checkpoints' / file)
    with pytest.raises(CheckpointError, match='mkdir'):
        CheckpointLoader.load_checkpoint(name, map_location='cpu')
    assert not (tmp_path / 'evil').exists()


def test_a_list_of_ones_own_that_names_a_file(evil_file, tmp_path, monkeypatch):
    """mmengine reads that one by a function of its own."""
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text('{"mine": "evil.pth"}')
    with pytest.raises(CheckpointError, match='mkdir'):
        CheckpointLoader.load_checkpoint('open-mmlab://mine', map_location='cpu')
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize('address', ['s3://a/b.pth', 'cluster:s3://a/b.pth', 'pavi://a'])
def test_stores_that_mmengine_would_unpickle_from(address):
    with pytest.raises(CheckpointError, match='get the file from its store'):
        CheckpointLoader.load_checkpoint(address)
