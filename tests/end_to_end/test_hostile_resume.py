"""Checkpoints of other origin or with changed contents, given to `tools/train.py --resume`."""

import pytest
import torch
from mmengine.runner import CheckpointLoader

#: The checkpoint of a good run, which is trained once.
GOOD: list[bytes] = []


@pytest.fixture
def good(train, tmp_path):
    if not GOOD:
        assert train('--work-dir', 'good')[0] == 0
        GOOD.append((tmp_path / 'good/iter_3.pth').read_bytes())
    (tmp_path / 'changed.pth').write_bytes(GOOD[0])
    return tmp_path / 'changed.pth'


@pytest.fixture
def resume(train, good):
    """Changes a good checkpoint and resumes from it; returns what was printed."""

    def run(change):
        content = torch.load(good, weights_only=False)
        change(content)
        torch.save(content, good)
        return train('--work-dir', 'resumed', '--resume', good)

    return run


def test_a_text_that_mmengine_would_execute(resume, tmp_path):
    code = f'import os\nos.mkdir({str(tmp_path / "CANARY")!r})\n'
    status, printed = resume(lambda content: content['meta'].update(config=code))
    assert not (tmp_path / 'CANARY').exists()
    assert status == 2 and "its meta holds 'config', a text that mmengine would run" in printed
    # nor does mmengine's own runner see it
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'changed.pth'), 'cpu')
    assert 'cfg' in loaded['meta'] and 'config' not in loaded['meta']


def change_state(name, value):
    return lambda content: content['state_dict'].update({name: value})


def drop_moments(content):
    content['optimizer']['state'] = {}


def misshape_moments(content):
    content['optimizer']['state'][0]['exp_avg'] = torch.zeros(1)


def break_moments(content):
    content['optimizer']['state'][0]['exp_avg_sq'][0] = float('nan')


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda content: content.pop('optimizer'), 'it holds no optimizer, only weights'),
        (drop_moments, 'the optimiser holds no state after 3 iterations'),
        (misshape_moments, 'exp_avg of the optimiser has the shape (1,) for a parameter of'),
        (break_moments, 'exp_avg_sq of the optimiser is NaN or infinite'),
        (lambda content: content['meta'].update(iter=2), 'teacher.step is 3 but meta.iter is 2'),
        (lambda content: content['meta'].pop('epoch'), "do not fit this config ('epoch')"),
        (lambda content: content.update(message_hub=7), 'do not fit this config'),
        (lambda content: content.update(param_schedulers=7), 'do not fit this config'),
        (
            change_state('student.decode_head.bias', torch.full((19,), float('nan'))),
            '1 with NaN or infinite values: student.decode_head.bias',
        ),
    ],
)
def test_edited_training_states_are_refused(resume, tmp_path, change, message):
    status, printed = resume(change)
    assert status == 2 and message in printed and 'Traceback' not in printed
    assert 'changed.pth' in printed and not list((tmp_path / 'resumed').glob('*.pth'))


def test_a_damaged_checkpoint_is_not_resumed(train, good):
    images = torch.load(good, weights_only=False)['state_dict']['bank.images'].numpy().tobytes()
    data = bytearray(good.read_bytes())
    data[data.index(images)] ^= 1
    good.write_bytes(bytes(data))
    status, printed = train('--work-dir', 'resumed', '--resume', good)
    assert status == 2 and 'is damaged: its entry' in printed and 'Traceback' not in printed
