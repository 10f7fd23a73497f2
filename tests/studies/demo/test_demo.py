"""The demo moves its configs to its own data."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from dsr_nss.engine.config import read_config
from dsr_nss.studies.demo import demo


def test_every_data_root_moves_and_nothing_else():
    config = Config(
        dict(
            a=dict(type='A', data_root='data/nightscape/x', other='data/nightscape'),
            b=dict(c=dict(type='C', data_root='data/nightscape')),
            d=dict(type='D', data_root='data/nightscape_2'),
        )
    )
    options = set(demo.data_root_options(config, 'data/nightscape', 'work/n'))
    assert options == {'a.data_root=work/n/x', 'b.c.data_root=work/n'}


@pytest.mark.parametrize('name', demo.CONFIGS)
def test_the_options_are_accepted_and_leave_no_old_root(name, repo_root):
    path = repo_root / demo.CONFIGS[name]
    options = list(demo.data_root_options(read_config(path), demo.DATA_ROOT, 'elsewhere'))
    assert any('source' in o for o in options) and any(demo.TEST_SET in o for o in options)
    moved = read_config(path, dict(option.split('=') for option in options))
    assert demo.DATA_ROOT not in str(moved._cfg_dict)


@pytest.fixture
def calls(monkeypatch):
    """The commands of a demo that does nothing else."""
    calls = []
    monkeypatch.setattr(demo, '_call', lambda *words: calls.append(words))
    monkeypatch.setattr(demo, '_train_and_test', lambda *args: None)
    monkeypatch.setattr(demo, 'write_summary', lambda *args, **facts: facts)
    monkeypatch.setattr(demo, 'write_demo_report', lambda *args: None)
    return calls


@pytest.mark.parametrize(
    'name', ['dsr_nss/__init__.py', 'dsr_nss/run_info.json', 'report.html', 'summary.json']
)
def test_what_no_demo_made_is_not_replaced(tmp_path, calls, name):
    """In a checkout `--out .` names the package itself, in work_dirs anybody's runs."""
    (tmp_path / 'dsr_nss').mkdir()
    (tmp_path / name).write_text('mine')
    with pytest.raises(demo.DemoError, match=f'{name.split("/")[0]}: not of a demo .*--out'):
        demo.run_demo(0, tmp_path)
    assert (tmp_path / name).read_text() == 'mine' and not calls


def test_an_earlier_demo_is_replaced(tmp_path, calls):
    demo.run_demo(0, tmp_path)
    assert '--overwrite' not in calls.pop()
    (tmp_path / 'source_only').mkdir()
    (tmp_path / 'report.html').touch()
    demo.run_demo(0, tmp_path)
    assert '--overwrite' in calls.pop()
    assert [path.name for path in tmp_path.iterdir()] == [demo.MARKER]
    demo.run_demo(0, tmp_path)  # a set in the folder is not of a demo that trained
    assert '--overwrite' not in calls.pop()


def test_a_failing_step_is_named():
    with pytest.raises(demo.DemoError, match='tools/make_nightscape.py --size nonsense'):
        demo._call('tools/make_nightscape.py', '--size', 'nonsense')


@pytest.mark.parametrize(
    ('own', 'expected'),
    [
        ({}, {'GOMP_SPINCOUNT': '1000'}),
        ({'OMP_WAIT_POLICY': 'ACTIVE'}, {'OMP_WAIT_POLICY': 'ACTIVE'}),
        ({'GOMP_SPINCOUNT': '7'}, {'GOMP_SPINCOUNT': '7'}),
    ],
)
def test_threads_of_a_step_sleep_soon_unless_the_user_says_otherwise(monkeypatch, own, expected):
    names = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    seen = []

    def run(command, env):
        seen.append({name: env[name] for name in names if name in env})
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(demo.subprocess, 'run', run)
    demo._call('tools/train.py')
    assert seen == [expected]
