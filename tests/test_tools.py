"""What all command lines have in common: they answer at once, and offer what the package has."""

import argparse
import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import shared_options

from dsr_nss import shipped
from dsr_nss.conversion import layouts
from dsr_nss.datasets import preparation
from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.engine.trackers import BACKENDS
from dsr_nss.evaluation.submission_formats import SUBMISSION_FORMATS
from dsr_nss.evaluation.submit import SUBMISSION_SETS
from dsr_nss.inference.adapt_batch_norm import BATCH_NORMS
from dsr_nss.inference.exported import SUFFIXES
from dsr_nss.inference.load import PREFIXES
from dsr_nss.inspection import browse
from dsr_nss.matching import evaluate, truth
from dsr_nss.studies.benchmark import growth
from dsr_nss.studies.refinement import worth
from dsr_nss.studies.tables import rows
from tests.command_lines import TOOLS, load_tool

NAMES = sorted(path.stem for path in TOOLS.glob('*.py') if path.stem != 'shared_options')
#: Runs every tool with one option, and prints exit codes and the heavy packages that came with it.
ASK = """
import contextlib, io, json, runpy, sys
option, *paths = sys.argv[1:]
heavy = {'torch', 'mmseg', 'mmengine', 'mmcv', 'numpy', 'cv2', 'dsr_nss'}
answers = {}
for path in paths:
    sys.argv[1:] = [option]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as end:
            answers[path] = [end.code, 'usage: ' in said.getvalue(), *heavy & set(sys.modules)]
print(json.dumps(answers))
"""


@pytest.mark.parametrize(('option', 'code'), [('--help', 0), ('--no-such-option', 2)])
def test_no_tool_imports_the_package_before_it_has_parsed(option, code):
    paths = [str(TOOLS / f'{name}.py') for name in NAMES]
    command = [sys.executable, '-c', ASK, option, *paths]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={'PYTHONPATH': str(TOOLS)}
    )
    assert json.loads(done.stdout) == {path: [code, True] for path in paths}
    assert len(paths) > 10


@pytest.mark.parametrize(
    ('tool', 'name', 'known'),
    [
        ('shared_options', 'NETWORKS', PREFIXES),
        ('shared_options', 'NETWORKS', layouts.NETWORKS),
        ('shared_options', 'AMP_TYPES', AMP_TYPES),
        ('shared_options', 'BATCH_NORMS', BATCH_NORMS),
        ('shared_options', 'SERVERS', SUBMISSION_FORMATS),
        ('shared_options', 'SERVERS', SUBMISSION_SETS),
        ('shared_options', 'CONFIG_PREFIX', shipped.PREFIX),
        ('shared_options', 'CONFIG_ENDINGS', shipped.ENDINGS),
        ('benchmark', 'BANKS', growth.BANKS),
        ('browse_dataset', 'TRAIN', browse.TRAIN),
        ('convert_checkpoint', 'LAYOUT_NAMES', layouts.LAYOUT_NAMES),
        ('export', 'FORMATS', SUFFIXES),
        ('prepare_data', 'NAMES', preparation.NAMES),
        ('reproduce', 'TABLES', rows.TABLES),
        ('reproduce', 'DATA', rows.DATA),
        ('test_align', 'BASELINES', sorted(evaluate.BASELINES)),
        ('test_align', 'NAMES', truth.NAMES),
        ('test_refinement', 'ALIGNERS', (worth.NONE, *worth.ALIGNERS)),
        ('test_refinement', 'DEFAULT_ALIGNERS', worth.DEFAULT_ALIGNERS),
        ('train', 'TRACKERS', BACKENDS),
    ],
)
def test_tools_offer_what_the_package_has(tool, name, known):
    assert tuple(getattr(load_tool(tool), name)) == tuple(known)


@pytest.fixture
def parse(monkeypatch):
    """Parses words as `tools/infer.py` or, without inputs, `tools/test.py` does."""

    def call(words, inputs=True):
        parser = argparse.ArgumentParser()
        shared_options.add_checkpoint_arguments(parser)
        if inputs:
            parser.add_argument('inputs', nargs='+')
        parser.add_argument('--out')
        shared_options.add_overlay_option(parser)
        shared_options.add_config_options(parser)
        monkeypatch.setattr(sys, 'argv', ['tool.py', *words.split()])
        return shared_options.parse_checkpoint_arguments(parser)

    return call


@pytest.mark.parametrize(
    ('words', 'config', 'inputs'),
    [
        ('c.py a.pth x.png', 'c.py', ['x.png']),
        ('c.py --out o a.pth x.png y', 'c.py', ['x.png', 'y']),
        ('c.json a.pth --out o x.png y', 'c.json', ['x.png', 'y']),
        ('dsr_nss::c a.pth x.png', 'dsr_nss::c', ['x.png']),
        ('a.pth x.png', None, ['x.png']),
        ('a.pth x.png --out o y c.py', None, ['x.png', 'y', 'c.py']),
    ],
)
def test_the_first_word_is_a_config_if_it_ends_as_one(parse, words, config, inputs):
    args = parse(words)
    assert (args.config, args.checkpoint, args.inputs) == (config, 'a.pth', inputs)


@pytest.mark.parametrize(('words', 'config'), [('c.py --out o a.pth', 'c.py'), ('a.pth', None)])
def test_a_checkpoint_without_inputs(parse, words, config):
    args = parse(words, inputs=False)
    assert (args.config, args.checkpoint) == (config, 'a.pth')


@pytest.mark.parametrize(
    ('words', 'inputs', 'message'),
    [
        ('c.py', False, 'name CHECKPOINT after the config c.py'),
        ('c.py a.pth', True, 'name CHECKPOINT INPUT... after the config c.py'),
        ('a.pth b.pth', False, 'a.pth is no config: it must end in .py'),
        ('', False, 'required: CHECKPOINT'),
    ],
)
def test_missing_words_are_named(parse, capsys, words, inputs, message):
    with pytest.raises(SystemExit):
        parse(words, inputs)
    assert message in capsys.readouterr().err


def test_as_many_pictures_as_none_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', 'c.py', '--num', '0'])
    with pytest.raises(SystemExit):
        load_tool('browse_dataset').parse_args()
    assert '--num must be >= 1, got 0' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('images', 'frames', 'text'),
    [(0, 0, '0 images in'), (1, 0, '1 image in'), (0, 1, '1 frame of videos in'),
     (2, 3, '2 images and 3 frames of videos in')],
)  # fmt: skip
def test_what_was_predicted_is_counted(capsys, images, frames, text):
    result = SimpleNamespace(images=images, frames=frames, kept=0, others={}, failed={})
    args = argparse.Namespace(checkpoint='a.pth', model='student', out='o')
    load_tool('infer').report(result, args, 1.0)
    assert f'{text} 1.0 s' in capsys.readouterr().out.splitlines()


def test_warnings_are_sentences(monkeypatch):
    monkeypatch.setattr(warnings, 'formatwarning', warnings.formatwarning)
    shared_options.print_warnings_plainly()
    said = warnings.formatwarning('two images', UserWarning, 'submission.py', 107)
    assert said == 'warning: two images\n'


def test_options_that_take_several_may_be_repeated(parse):
    args = parse('c.py a.pth x --with a.py b.py --with d.py --cfg-options a=1 b=2 --cfg-options c=')
    assert args.overlays == ['a.py', 'b.py', 'd.py']
    assert args.cfg_options == ['a=1', 'b=2', 'c=']
    args = parse('a.pth x')
    assert (args.overlays, args.cfg_options) == ([], [])
