"""`tools/convert_checkpoint.py`, and `tools/test.py` with what it writes."""

import os
import runpy
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.segmentors.networks import build_hrda


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ['EVIL_FOLDER'],))


@pytest.fixture
def tool(repo_root, monkeypatch, capsys):
    """Runs a command line in this process: (exit status, output, errors)."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(repo_root / 'tools' / name), run_name='__main__')
        return (end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(0)
    state = {f'model.{name}': value for name, value in build_hrda().state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(iter=7)), tmp_path / 'latest.pth')
    return tmp_path / 'latest.pth'


def test_from_a_published_file_to_predictions(tool, source, tmp_path):
    network, config = tmp_path / 'out' / 'hrda.pth', tmp_path / 'out' / 'hrda.py'
    status, output, _ = tool('convert_checkpoint.py', source, network, '--config-out', config)
    assert status == 0
    assert 'HRDA, MIC and DAFormer (mmseg 0.x), layout hrda' in output
    assert 'matched           250' in output and f'config: {config}' in output
    (tmp_path / 'images').mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / 'images' / 'a.png')
    status, output, errors = tool(
        'test.py', config, network, '--images', tmp_path / 'images', '--out', tmp_path / 'out',
        '--workers', 0, '--device', 'cpu',
    )  # fmt: skip
    assert status == 0, errors
    predictions = [np.asarray(Image.open(path)) for path in (tmp_path / 'out').glob('**/*.png')]
    assert predictions and all(array.shape[:2] == (64, 96) for array in predictions)


def test_incomplete(tool, source, tmp_path):
    content = torch.load(source)
    del content['state_dict']['model.backbone.norm2.bias']
    torch.save(content, source)
    status, output, _ = tool('convert_checkpoint.py', source, tmp_path / 'a.pth')
    assert status == 1 and not (tmp_path / 'a.pth').exists()
    assert 'missing           1: backbone.norm2.bias' in output
    status, output, _ = tool('convert_checkpoint.py', source, tmp_path / 'a.pth', '--partial')
    assert status == 0 and (tmp_path / 'a.pth').exists()
    assert 'left at random: 1 entries of the network: backbone.norm2.bias' in output


def test_inspection_writes_nothing(tool, source, tmp_path):
    status, output, _ = tool('convert_checkpoint.py', source, '--inspect')
    assert status == 0 and 'student: 250 entries' in output and 'iter: 7' in output
    assert [path.name for path in tmp_path.iterdir()] == ['latest.pth']
    assert tool('convert_checkpoint.py', source)[0] == 2


def test_what_is_refused_is_explained(tool, source, tmp_path, monkeypatch):
    monkeypatch.setenv('EVIL_FOLDER', str(tmp_path / 'evil'))
    torch.save({'state_dict': {'w': torch.ones(1)}, 'callbacks': Evil()}, tmp_path / 'evil.ckpt')
    (tmp_path / 'page.pth').write_text('<html>sign in to download</html>')
    (tmp_path / 'half.pth').write_bytes(source.read_bytes()[:5000])
    for name, message in (
        ('evil.ckpt', 'mkdir, which is neither a tensor nor plain data'),
        ('page.pth', "a text file that begins with '<html>sign in"),
        ('half.pth', 'is cut off (5000 bytes)'),
        ('nothing.pth', 'not found'),
    ):
        for arguments in ([tmp_path / 'a.pth'], ['--inspect']):
            status, _, errors = tool('convert_checkpoint.py', tmp_path / name, *arguments)
            assert status == 2 and errors.startswith('error: ') and message in errors
            assert 'Traceback' not in errors
    assert not (tmp_path / 'evil').exists() and not (tmp_path / 'a.pth').exists()
