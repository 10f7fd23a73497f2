"""The config of docs/tutorials/own_classes.md, with these and other classes, and wrong labels."""

import re

import numpy as np
import pytest
from PIL import Image

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from tests.pages import blocks_of

pytestmark = pytest.mark.usefixtures('one_thread')
FIVE = ('road', 'building', 'person', 'car', 'sky')
SIZE = (96, 128)
SHORT = [
    'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'param_scheduler.warmup=1',
    'train_dataloader.dataset.crop_size=(64,64)', 'model.alignment.start=1',
    'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    'default_hooks.logger.interval=1', 'default_hooks.panel.interval=2',
]  # fmt: skip


def write_city(root, classes):
    """Blocks of the classes in colours of their own, every class in every label."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (classes, 3), dtype=np.uint8)
    for folder, labelled in (('day', True), ('night', False), ('night_val', True)):
        for number in range(2):
            blocks = rng.permutation(np.arange(SIZE[0] * SIZE[1] // 64) % classes)
            label = np.kron(blocks.reshape(SIZE[0] // 8, -1), np.ones((8, 8))).astype(np.uint8)
            for kind, pixels in (('images', colours[label]), ('labels', label)):
                if kind == 'labels' and not labelled:
                    continue
                path = root / folder / kind / f'{number}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


@pytest.fixture
def tool(run_tool, capfd):
    """Runs a tool; returns its exit code and what it printed."""

    def run(*words):
        capfd.readouterr()
        return run_tool(*words), ''.join(capfd.readouterr())

    return run


@pytest.fixture
def city(repo_root, tmp_path, monkeypatch):
    """Writes the page's config with these names, and images of as many classes."""
    pytest.importorskip('timm')

    def write(names):
        page = (repo_root / 'docs/tutorials/own_classes.md').read_text()
        (text,) = (block.content for block in blocks_of(page) if block.name == 'my_city.py')
        assert str(FIVE) in text
        path = tmp_path / f'city_{tmp_path.name}.py'  # mmengine names a run by its config
        path.write_text(text.replace(str(FIVE), str(names)))
        write_city(tmp_path / 'data/my_city', len(names))
        monkeypatch.chdir(tmp_path)
        return path.name

    return write


def test_five_names_and_nothing_else(city, tool, tmp_path):
    config = city(FIVE)
    code, said = tool('train', config, '--work-dir', 'out', '--cfg-options', *SHORT)
    assert code == 0, said
    assert 'mIoU_dynamic' in said
    checkpoint = tmp_path / 'out/iter_2.pth'
    content = load_checkpoint_file(checkpoint)
    assert content['meta']['dataset_meta']['classes'] == FIVE
    assert content['meta']['dataset_meta']['groups']['large_static'] == ('road', 'building', 'sky')
    assert content['state_dict']['student.decode_head.head.conv_seg.weight'].shape[0] == 5
    code, said = tool('test', config, checkpoint, '--report', 'report', '--workers', 0)
    assert code == 0, said
    rows = [line.split()[0] for line in said.splitlines() if re.match(r'\w+ +[\d.]+$', line)]
    assert rows[:5] == list(FIVE)
    assert 'mean of large static' in said and 'mean of small' not in said
    night = 'data/my_city/night/images'
    code, said = tool('infer', config, checkpoint, night, '--out', 'predicted', '--workers', 0)
    assert code == 0, said
    files = sorted((tmp_path / 'predicted').rglob('labelTrainIds/**/*.png'))
    assert len(files) == 2 and np.array(Image.open(files[0])).max() < 5
    code, said = tool(
        'score', 'data/my_city/night_val/labels', 'data/my_city/night_val/labels',
        '--classes', config, '--workers', 1,
    )  # fmt: skip
    assert code == 0 and re.search(r'building +100\.00', said) and 'sidewalk' not in said


@pytest.mark.parametrize('number', [2, 150])
def test_other_numbers_of_classes(city, tool, number, tmp_path):
    names = ('ground', 'thing') if number == 2 else tuple(f'thing {i}' for i in range(150))
    code, said = tool('train', city(names), '--work-dir', 'out', '--cfg-options', *SHORT)
    assert code == 0, said
    state = load_checkpoint_file(tmp_path / 'out/iter_2.pth')['state_dict']
    assert state['student.decode_head.scale_attention.conv_seg.weight'].shape[0] == number


def labels_of(root):
    return sorted((root / 'data/my_city/day/labels').glob('*.png'))


def test_labels_beyond_the_outputs_stop_the_run_before_its_first_step(city, tool, tmp_path):
    config = city(FIVE)
    for path in labels_of(tmp_path):
        Image.fromarray(np.array(Image.open(path)) + np.uint8(1)).save(path)
    code, said = tool('train', config, '--work-dir', 'out', '--cfg-options', *SHORT)
    message = r'0\.png: the label has the ids \[5\]; valid are 0\.\.4 .* seem to begin at 1'
    assert code == 2 and re.search(message, said), said
    assert not re.search(r'Iter \d', said) and 'Traceback' not in said
    code, said = tool('check_data', config, '--cfg-options', *SHORT)
    assert code == 1 and re.search(message, said), said


def test_masks_of_0_and_255_are_named(city, tool, tmp_path):
    config = city(('ground', 'thing'))
    for path in sorted((tmp_path / 'data/my_city').rglob('labels/*.png')):
        Image.fromarray(np.array(Image.open(path)) * np.uint8(255)).save(path)
    code, said = tool('check_data', config, '--cfg-options', *SHORT)
    assert code == 0, said
    assert 'have one id, 0 (ground); the labels are masks of 0 and 255' in said
    assert '1 of 2 classes have no pixel in the 2 labels' in said and 'thing (1)' in said
    code, said = tool('train', config, '--work-dir', 'out', '--cfg-options', *SHORT)
    assert code == 0 and 'the labels are masks of 0 and 255' in said
    assert 'A mean over one class says nothing' in said  # the validation
    code, said = tool('test', config, 'out/iter_2.pth', '--workers', 0)
    assert '1 of 2 classes occur in the labels' in said and 'says nothing' in said
