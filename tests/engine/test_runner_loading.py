"""What may be loaded into what."""

import re

import pytest
import torch
from torch import nn

from dsr_nss.engine.runner import AdaptationRunner, load_all
from dsr_nss.engine.start import load_start, read_start
from dsr_nss.errors import CheckpointError, ConfigError


class Adaptation(nn.Module):
    def __init__(self, width=4, bank=8, teacher=True):
        super().__init__()
        self.student = nn.ModuleDict(
            dict(backbone=nn.Linear(2, width), decode_head=nn.Linear(width, 3))
        )
        if teacher:
            self.teacher = nn.Linear(2, 2)
            self.bank = nn.Module()
            self.bank.register_buffer('images', torch.zeros(bank, bank))


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_resume_loads_everything():
    saved, model = Adaptation(), Adaptation()
    saved.bank.images += 1
    load_all(model, saved.state_dict(), 'a.pth')
    assert same(saved, model)


def test_resume_refuses_another_bank():
    with pytest.raises(CheckpointError, match=r'memory bank.*\(8, 8\) saved, \(16, 16\) here'):
        load_all(Adaptation(bank=16), Adaptation(bank=8).state_dict(), 'a.pth')


def test_resume_refuses_missing_and_unknown_entries():
    with pytest.raises(CheckpointError, match=r'3 missing: teacher\.weight'):
        load_all(Adaptation(), Adaptation(teacher=False).state_dict(), 'a.pth')
    with pytest.raises(CheckpointError, match='3 unknown: teacher'):
        load_all(Adaptation(teacher=False), Adaptation().state_dict(), 'a.pth')


def test_new_run_starts_from_the_student_and_leaves_the_bank():
    saved, model = Adaptation(bank=8), Adaptation(bank=16)
    saved.bank.images += 1
    load_start(model, saved.state_dict(), 'a.pth')
    assert same(saved.student, model.student)
    assert not same(saved.teacher, model.teacher)
    assert (model.bank.images == 0).all()


def test_new_run_starts_from_source_only_and_from_a_plain_segmentor():
    saved = Adaptation(teacher=False)
    for state in (saved.state_dict(), saved.student.state_dict()):
        model = Adaptation()
        load_start(model, state, 'a.pth')
        assert same(saved.student, model.student)


def test_checkpoint_of_another_model_is_refused_and_nothing_changes():
    model = Adaptation()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).state_dict()
    with pytest.raises(CheckpointError, match='checkpoint of another model') as error:
        load_start(model, other, 'resnet.pth')
    assert 'resnet.pth' in str(error.value)
    assert '4 missing: backbone.weight' in str(error.value)
    assert '4 unknown: 0.weight' in str(error.value)
    wider = Adaptation(width=5).state_dict()
    shape = re.escape('backbone.weight (5, 2) for (4, 2)')
    with pytest.raises(CheckpointError, match=shape):
        load_start(model, wider, 'wide.pth')
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_none_switches_any_default_hook_off():
    runner = object.__new__(AdaptationRunner)
    runner._hooks = []
    runner.register_default_hooks(
        dict(panel=None, logger=None, seed=dict(type='SeedEachIteration'))
    )
    names = {type(hook).__name__ for hook in runner._hooks}
    assert 'SeedEachIteration' in names and 'CheckpointHook' in names
    assert not names & {'PanelHook', 'LoggerHook'}


def test_a_checkpoint_of_other_classes_starts_a_run_without_its_classifier():
    saved, model = Adaptation(), Adaptation()
    saved.student['decode_head'] = nn.Linear(4, 5)
    before = model.student['decode_head'].weight.clone()
    with pytest.raises(CheckpointError) as info:
        load_start(model, saved.state_dict(), 'a.pth')
    way = re.search(r"load_from=dict\(checkpoint='a.pth', skip=\((.*),\)\)", str(info.value))
    assert way[1] == "'decode_head'"
    start = read_start(dict(checkpoint='a.pth', skip=['decode_head']))
    left = load_start(model, saved.state_dict(), start.checkpoint, start.skip)
    assert left == ['decode_head.weight', 'decode_head.bias']
    assert torch.equal(model.student['decode_head'].weight, before)
    assert torch.equal(model.student['backbone'].weight, saved.student['backbone'].weight)


def test_what_is_skipped_must_be_there():
    state = Adaptation().state_dict()
    with pytest.raises(ConfigError, match="has no entry 'head'; it has backbone, decode_head"):
        load_start(Adaptation(), state, 'a.pth', ['head'])
    for bad in (
        dict(skip=('a',)), dict(checkpoint='a.pth', skp=()), dict(checkpoint='a.pth', skip=5),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r'load_from must be a file or dict\(checkpoint='):
            read_start(bad)
    assert read_start('a.pth').skip == () and read_start(dict(checkpoint='a', skip='b')).skip == (
        'b',
    )
