"""`dsr-nss web` and `dsr-nss demo CHECKPOINT`: what they serve, and what they say."""

import socket
import sys
from urllib.request import urlopen

import pytest

from dsr_nss import commands
from tests.tiny_segmentor import describing_checkpoint


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the command; returns its exit status and what it printed."""

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['dsr-nss', *map(str, words)])
        monkeypatch.setattr(sys, 'path', sys.path.copy())
        try:
            code = commands.main()
        except SystemExit as end:
            code = end.code
        return code, ''.join(capsys.readouterr())

    return run


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Content of the page at the time when the tool would wait for Ctrl-C."""
    gradio = pytest.importorskip('gradio', reason='the extra web is not installed')
    from dsr_nss.web import examples

    pages = []

    def look(page):
        pages.append(urlopen(page.local_url).read().decode())
        page.close(verbose=False)

    monkeypatch.setattr(gradio.Blocks, 'block_thread', look)
    monkeypatch.setattr(examples, '_SCENES', ())  # drawing has its own test
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    return pages


@pytest.mark.parametrize('name', ['web', 'demo'])
def test_the_page_of_two_checkpoints_is_served(call, served, tmp_path, name):
    for folder in ('before', 'after'):
        (tmp_path / folder).mkdir()
        describing_checkpoint(tmp_path / folder)
    options = ['--no-browser', '--device', 'cpu']
    code, said = call(name, tmp_path / 'before', tmp_path / 'after/iter_1.pth', *options)
    assert code == 0 and 'http://127.0.0.1:' in said and 'Ctrl-C' in said
    assert '`before/iter_1.pth` and `after/iter_1.pth`' in served[0]
    assert not list((tmp_path / 'temporary').glob('dsr_nss_web_*'))


def test_it_does_not_ask_itself_whether_it_can_be_reached(call, served, tmp_path, monkeypatch):
    """Gradio would, through a proxy that is set, and would not start."""
    monkeypatch.setattr('gradio.networking.url_ok', lambda url: False)
    path = describing_checkpoint(tmp_path)
    code, _ = call('web', path, '--no-browser', '--device', 'cpu')
    assert code == 0 and served


def test_a_port_that_is_taken_is_named(call, served, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = describing_checkpoint(tmp_path)
        code, said = call('web', path, '--no-browser', '--device', 'cpu', '--port', port)
    assert code == 2 and said.startswith(f'error: cannot serve the page at 127.0.0.1:{port}')
    assert not served


def test_without_gradio_the_extra_is_named(call, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, 'dsr_nss.web.page', raising=False)
    monkeypatch.setitem(sys.modules, 'gradio', None)
    code, said = call('web', describing_checkpoint(tmp_path), '--no-browser', '--device', 'cpu')
    assert (code, said) == (
        2, "error: the page needs the package gradio: `pip install -e '.[web]'`\n"
    )  # fmt: skip


def test_three_checkpoints_are_too_many(call):
    code, said = call('web', 'a', 'b', 'c')
    assert code == 2 and 'one or two checkpoints are compared, got 3' in said


def test_the_demo_without_a_checkpoint_keeps_its_own_options(call):
    code, said = call('demo', '--no-browser')
    assert code == 2 and 'unrecognized arguments: --no-browser' in said
