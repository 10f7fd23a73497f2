"""Overlays: what `--with` does to a config."""

from pathlib import Path

import pytest
import toy_adaptation
from mmengine.config import Config

from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import configure_run
from dsr_nss.engine.overlays import lay_over
from dsr_nss.errors import ConfigError

BASE = """
group = ('pole', 'bicycle')
model = dict(type='A', part=dict(type='P', x=1, y=(1, 2)), other=dict(z=3), gone=dict(w=1))
custom_hooks = [dict(n=1), dict(n=2)]
"""


@pytest.fixture
def file(tmp_path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def base(file) -> Config:
    return Config.fromfile(file('base.py', BASE))


def test_an_overlay_is_merged_as_a_config_is_merged_into_its_base(base, file):
    text = """
model = dict(
    part=dict(x=5), other=dict(_delete_=True, q=_base_.group), gone=None,
    new=dict(y=_base_.model.part.y),
)
custom_hooks = [dict(n=3)]
"""
    laid = lay_over(base, [file('changes.py', text)])
    child = Config.fromfile(file('child.py', f"_base_ = 'base.py'\n{text}"))
    assert laid.to_dict() == child.to_dict()
    assert laid.model.other == dict(q=('pole', 'bicycle')) and laid.model.part.x == 5
    assert laid.model.part.y == (1, 2) and laid.custom_hooks == [dict(n=3)]
    assert base.model.gone == dict(w=1)  # the config itself stays


def test_overlays_are_merged_in_order_and_each_sees_the_one_before(base, file):
    first = file('first.py', 'model = dict(part=dict(x=2), alpha=1)')
    second = file('second.py', 'model = dict(part=dict(x=_base_.model.part.x + 1))')
    laid = lay_over(base, [first, second])
    assert (laid.model.part.x, laid.model.alpha) == (3, 1)
    assert Path(laid.filename).name == 'base-first-second.py'
    assert lay_over(base, [second, first]).model.part.x == 2


def test_helpers_of_an_overlay_are_no_fields(base, file):
    text = 'import math\n_two = 2\ndef half(x):\n    return x / _two\nmodel = dict(v=half(math.e))'
    laid = lay_over(base, [file('helped.py', text)])
    assert laid.model.v == pytest.approx(1.3591409)
    assert set(laid.keys()) == set(base.keys())


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("_base_ = 'other.py'\nmodel = dict(alpha=1)", 'o.py has a _base_ of its own'),
        ('model = dict(q=_base_.no_such)', "laid over .*base.py: .*no attribute 'no_such'"),
        ('model = dict(', 'o.py cannot be laid over .*base.py: SyntaxError'),
        ('model = dict(part=dict(y=dict(a=1)))', 'o.py does not fit .*y.* because y is a dict'),
        ('custom_hooks = dict(n=1)', 'o.py does not fit .*custom_hooks is a dict'),
        ("custom_imports = dict(imports=['no_such_module'])", 'does not fit .*no_such_module'),
        ('model = dict(part=dict(x=1))', 'o.py changes nothing in .*base.py: leave it out'),
        ('group = 7', 'group is a variable that .*base.py has used already.* your own _group'),
        ('_base_.model.part.x = 7\nmodel = dict(alpha=1)', 'o.py changes _base_ in place'),
    ],
)
def test_an_overlay_that_cannot_mean_anything_is_an_error(base, file, text, message):
    with pytest.raises(ConfigError, match=message):
        lay_over(base, [file('o.py', text)])


def test_a_missing_overlay_is_named(base):
    with pytest.raises(FileNotFoundError, match='overlay not found: nowhere.py'):
        lay_over(base, ['nowhere.py'])


def test_two_ablations_do_not_share_a_work_dir(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = file('toy.py', toy_adaptation.CONFIG)
    slow = file('slow.py', 'optim_wrapper = dict(optimizer=dict(lr=1e-4))')
    laid = read_config(config, overlays=[slow])
    configure_run(laid)
    assert laid.work_dir == 'work_dirs/toy-slow' and laid.optim_wrapper.optimizer.lr == 1e-4
    stated = file('stated.py', toy_adaptation.CONFIG + "work_dir = 'here/run/'\n")
    assert read_config(stated, overlays=[slow]).work_dir == 'here/run-slow'
    elsewhere = file('elsewhere.py', "work_dir = 'there'")
    assert read_config(stated, overlays=[elsewhere]).work_dir == 'there'


def test_options_have_the_last_word_and_names_are_checked(file):
    config = file('toy.py', toy_adaptation.CONFIG)
    wide = file('wide.py', 'model = dict(width=8)')
    assert read_config(config, {'model.width': 9}, overlays=[wide]).model.width == 9
    typo = file('typo.py', 'default_hooks = dict(checkpoint=dict(intervall=3))')
    with pytest.raises(ConfigError, match=r'default_hooks\.checkpoint\.intervall.*mean interval'):
        read_config(config, overlays=[typo])
