"""Checkpoints of other origin or with changed contents, given to `tools/train.py --resume`."""

import pytest
import torch
from mmengine.runner import CheckpointLoader


@pytest.fixture
def resume(train, tmp_path):
    """Changes a good checkpoint and resumes from it; returns what was printed."""

    def run(change):
        if not (tmp_path / 'good').exists():
            assert train('--work-dir', 'good')[0] == 0
        content = torch.load(tmp_path / 'good/iter_3.pth', weights_only=False)
        change(content)
        torch.save(content, tmp_path / 'changed.pth')
        return train('--work-dir', 'resumed', '--resume', tmp_path / 'changed.pth')

    return run


def test_a_text_that_mmengine_would_execute(resume, tmp_path):
    code = f'import os\nos.mkdir({str(tmp_path / "CANARY")!r})\n'
    status, printed = resume(lambda content: content['meta'].update(config=code))
    assert not (tmp_path / 'CANARY').exists()
    assert status == 2 and "its meta holds 'config', a text that mmengine would run" in printed
    # nor does mmengine's own runner see it
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'changed.pth'), 'cpu')
    assert 'cfg' in loaded['meta'] and 'config' not in loaded['meta']
