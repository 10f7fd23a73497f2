"""`dsr-nss` and `python -m dsr_nss`: one name for every tool, and commands to copy."""

import subprocess
import sys

import pytest

from dsr_nss import commands

NAMES = {tool: name for name, tool in commands.COMMANDS.items()}


def test_every_tool_has_a_command(repo_root):
    tools = {path.stem for path in (repo_root / 'tools').glob('*.py')} - {'shared_options'}
    assert tools == set(NAMES)


@pytest.fixture
def call(monkeypatch, capsys):
    """What the command answers: its exit status and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['dsr-nss', *arguments])
        monkeypatch.setattr(sys, 'path', sys.path.copy())
        try:
            code = commands.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_help_lists_the_commands_with_what_they_do(call):
    code, said = call()
    assert (code, said) == call('--help')
    assert code == 0 and '  train             Trains what a config describes.\n' in said
    assert all(f'\n  {name} ' in said for name in commands.COMMANDS)


@pytest.mark.parametrize(
    ('name', 'answer'),
    [
        ('trian', 'did you mean train?'),
        ('infer', 'did you mean predict?'),
        ('xyz', '--help` lists'),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(call, name, answer):
    code, said = call(name)
    assert code == 2 and f'has no command {name!r}' in said and answer in said


def test_a_command_is_its_tool(call):
    assert call('train', '--help')[1].startswith('usage: dsr-nss train ')
    code, said = call('train', 'nowhere.py')
    assert (code, said) == (2, 'error: config not found: nowhere.py\n')


def test_examples_are_those_of_the_command(call):
    for name in commands.COMMANDS:
        assert 'python tools/' not in call(name, '--help')[1]
    said = call('doctor', '--help')[1]
    assert '\ndsr-nss doctor dsr_nss::dsr_hrda_darkzurich --with dsr_nss::ablations/no_b' in said


def test_help_imports_nothing_heavy(repo_root, tmp_path):
    command = [sys.executable, '-X', 'importtime', '-m', 'dsr_nss', 'train', '--help']
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={'PYTHONPATH': str(repo_root)}
    )
    assert done.stdout.startswith('usage: dsr-nss train ')
    imported = {line.rsplit('|')[-1].strip() for line in done.stderr.splitlines()}
    assert 'dsr_nss.commands' in imported
    assert not imported & {'torch', 'numpy', 'mmengine', 'dsr_nss.engine'}


WORDS = ('tools/train.py', 'configs/demo/x.py', '--with', 'configs/ablations/a b.py')


def test_commands_to_copy_are_of_the_checkout(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tools/train.py'])
    assert commands.call('infer') == 'python tools/infer.py'
    assert commands.typed(WORDS) == (
        "python tools/train.py configs/demo/x.py --with 'configs/ablations/a b.py'"
    )
    assert commands.typed(['tools/dist_train.sh', 'c.py', '4']) == 'tools/dist_train.sh c.py 4'


def test_commands_to_copy_are_of_the_installed_package(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, 'ROOT', tmp_path / '.mim')
    for name in (WORDS[1], WORDS[3]):
        (tmp_path / '.mim' / name).parent.mkdir(parents=True)
        (tmp_path / '.mim' / name).touch()
    monkeypatch.chdir(tmp_path)
    assert commands.call('infer') == 'dsr-nss predict'
    installed = "dsr-nss train dsr_nss::demo/x.py --with 'dsr_nss::ablations/a b.py'"
    assert commands.typed(WORDS) == installed
    assert commands.typed(['tools/dist_train.sh', 'c.py', '4']) == (
        f'{tmp_path}/.mim/tools/dist_train.sh c.py 4'
    )
    (tmp_path / WORDS[1]).parent.mkdir(parents=True)
    (tmp_path / WORDS[1]).touch()  # one of the user's own
    assert commands.typed(WORDS) == installed.replace('dsr_nss::demo', 'configs/demo')


def test_commands_to_copy_from_the_command_in_a_checkout(monkeypatch, tmp_path):
    config = 'configs/demo/dsr_hrda_nightscape.py'
    monkeypatch.setattr(sys, 'argv', ['dsr-nss train'])
    monkeypatch.chdir(tmp_path)
    answer = 'dsr-nss train dsr_nss::demo/dsr_hrda_nightscape.py'
    assert commands.typed(['tools/train.py', config]) == answer
