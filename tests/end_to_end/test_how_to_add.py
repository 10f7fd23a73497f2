"""The examples of docs/architecture.md, run as they stand there."""

import re
import sys
from pathlib import Path

import pytest
import torch
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from dsr_nss.engine.config import read_config
from dsr_nss.studies.benchmark.step import build_step, random_items
from dsr_nss.studies.tables.own_tables import own_table
from dsr_nss.studies.tables.reproduce import listing
from dsr_nss.studies.tables.runs import Settings, plan
from dsr_nss.studies.tables.table import choose_rows

PAGE = Path(__file__).parents[2] / 'docs/architecture.md'
TEXT = PAGE.read_text().partition('## How to add')[2].partition('\n## ')[0]
#: Heading -> the files that stand below it.
EXAMPLES = {
    section.partition('\n')[0]: dict(re.findall(r'```python\n# (\w+\.py)\n(.*?)```', section, re.S))
    for section in TEXT.split('\n### ')[1:]
}


@pytest.fixture
def files(request, tmp_path, monkeypatch, repo_root):
    """The example's files, in a folder that looks like the checkout."""
    (tmp_path / 'configs').symlink_to(repo_root / 'configs')
    for name, text in EXAMPLES[request.param].items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return set(EXAMPLES[request.param])


@pytest.fixture
def config(files, tmp_path, monkeypatch):
    """The example's config."""
    assert files > {'my_config.py'} and len(files) == 2
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    known = [(registry, set(registry.module_dict)) for registry in (MODELS, DATASETS)]
    yield read_config(tmp_path / 'my_config.py')
    for registry, names in known:  # the next test starts without them
        for name in set(registry.module_dict) - names:
            del registry.module_dict[name]
    sys.modules.pop(next(name for name in files if name != 'my_config.py')[:-3], None)


def test_the_page_has_the_examples_that_it_promises():
    assert list(EXAMPLES) == [
        'A loss', 'A mixing rule', 'A backbone', 'An aligner', 'A data set', 'A table row',
    ]  # fmt: skip


@pytest.mark.parametrize(
    'files', ['A loss', 'A mixing rule', 'A backbone', 'An aligner'], indirect=True
)
def test_a_module_trains(config):
    config.train_dataloader.dataset.crop_size = (64, 64)
    config.model.bank.size = (64, 64)
    model, wrapper = build_step(config, torch.device('cpu'), amp=None)
    log = model.train_step(random_items(config), wrapper)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in log.values())
    own = {
        'DSRWithEntropy': lambda: log['loss_entropy'] > 0,
        'BoxMix': lambda: model.mixup.share == 0.4,
        'FourConvolutions': lambda: len(model.student.backbone.stages) == 4,
        'Shift': lambda: model.refinement.aligner.x == 8.0,
    }
    parts = {type(module).__name__ for module in model.modules()}
    (used,) = parts & set(own)
    assert own[used]()


@pytest.mark.parametrize('files', ['A data set'], indirect=True)
def test_a_data_set_pairs_its_images(config, tmp_path):
    for name in ('b_night', 'b_day', 'a_night', 'a_day'):
        path = tmp_path / f'data/mine/train/{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 6)).save(path)
    target = DATASETS.build(config.train_dataloader.dataset.target)
    infos = [target.get_data_info(i) for i in range(len(target))]
    assert [Path(i['img_path']).name for i in infos] == ['a_night.png', 'b_night.png']
    assert [Path(i['reference_path']).name for i in infos] == ['a_day.png', 'b_day.png']


@pytest.mark.parametrize('files', ['A table row'], indirect=True)
def test_a_table_of_ones_own(files):
    table = own_table(Path('my_rows.py'), 'nightscape')
    assert list(listing([table]))[1] == (
        'my_rows large_bank python tools/train.py configs/demo/dsr_hrda_nightscape.py '
        '--work-dir work_dirs/large_bank_nightscape --with my_overlay.py '
        '--cfg-options model.beta=0.2'
    )
    ours, large = plan(choose_rows([table]), [0], Settings('nightscape'))
    assert large.name == 'large_bank_nightscape-seed0'
    assert [column.key for column in ours.columns] == ['dark_zurich_val', 'cityscapes_val']
    assert large.columns == ours.columns
    bank = MODELS.build(large.config().model.bank)
    assert bank.capacity == 2 * MODELS.build(ours.config().model.bank).capacity
    assert large.config().model.beta == 0.2
