"""What a run notes about how it was started."""

import pytest

from dsr_nss.engine.run_info import add_start, read_starts


@pytest.mark.parametrize(
    ('words', 'command'),
    [
        (['tools/train.py', 'a b.py', '--amp'], "python tools/train.py 'a b.py' --amp"),
        (['dsr-nss train', 'a b.py', '--amp'], "dsr-nss train 'a b.py' --amp"),
    ],
)
def test_the_command_can_be_typed_again(tmp_path, monkeypatch, words, command):
    monkeypatch.setattr('sys.argv', words)
    add_start(tmp_path, seed=3)
    (start,) = read_starts(tmp_path)
    assert (start['command'], start['seed']) == (command, 3)
