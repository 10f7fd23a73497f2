"""mmengine reads weights as data too, once this package is imported."""

import os

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmseg.models.backbones import ResNet

from dsr_nss.checkpoints import CheckpointError
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
    evil_file.rename(tmp_path / 'hub' / 'checkpoints' / 'evil.pth')
    with pytest.raises(CheckpointError, match='mkdir'):
        load_from_http('https://nowhere.example/evil.pth')
    assert not (tmp_path / 'evil').exists()
