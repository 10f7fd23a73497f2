"""The page of trainings and tests: it holds their scores and needs nothing else."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.engine import run_info
from dsr_nss.errors import DataError
from dsr_nss.evaluation.accumulator import ScoredImage
from dsr_nss.evaluation.iou import flat_scores, iou_scores
from dsr_nss.evaluation.picture_record import RECORD, read_record, write_record
from dsr_nss.evaluation.run_report import write_run_report
from dsr_nss.evaluation.worst_cases import WorstCases

SET = 'night_val'
SIZE = (24, 40)


def scored(tmp_path, number, wrong):
    """An image of road and sky whose first columns are predicted as person."""
    file = tmp_path / f'{number}.png'
    Image.fromarray(np.full((*SIZE, 3), 10 * number, np.uint8)).save(file)
    label = np.zeros(SIZE, np.uint8)
    label[:8] = 10
    prediction = label.copy()
    prediction[:, :wrong] = 11
    pairs = label.astype(int) * len(CLASSES) + prediction
    confusion = np.bincount(pairs.ravel(), minlength=len(CLASSES) ** 2)
    name = f'city/<b>{number}</b>'
    matrix = confusion.reshape(len(CLASSES), -1)
    return ScoredImage(name, prediction, label, matrix, image_file=str(file))


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Makes the work dir of a run; returns it and its mIoU."""

    def make(name, wrong=4, images=9, validated=True):
        folder = tmp_path / name
        (folder / '1/vis_data').mkdir(parents=True)
        cases = WorstCases(CLASSES)
        shown = [scored(tmp_path, i, wrong + i) for i in range(images)]
        for image in shown:
            cases.update(image)
        scores = flat_scores(iou_scores(sum(image.confusion for image in shown), CLASSES))
        lines = [{'step': 2, 'loss_source': 1.0}, {'step': 4, f'{SET}/mIoU': scores['mIoU']}]
        (folder / '1/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))
        if validated:
            write_record(
                folder / 'vis/validation', title=SET, images=cases, palette=PALETTE,
                scores=scores, iteration=4,
            )  # fmt: skip
            Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(folder / 'vis/iter_000004.png')
        config = dict(model=dict(), train_cfg=dict(max_iters=4), randomness=dict(seed=7))
        Config(config).dump(str(folder / 'toy.py'))
        monkeypatch.setattr('sys.argv', ['tools/train.py', 'toy.py', '--seed', '<7>'])
        run_info.add_start(folder, seed=7)
        return folder, scores['mIoU']

    return make


class Attributes(HTMLParser):
    """All addresses and the text of a page; fails where tags are not closed."""

    def __init__(self):
        super().__init__()
        self.addresses, self.open, self.text = [], [], ''

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ('src', 'href', 'srcset', 'action')]
        if tag not in ('meta', 'img', 'source', 'input', 'link'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(path):
    page = Attributes()
    page.feed(path.read_text())
    assert page.open == []
    assert page.addresses and all(address.startswith('data:') for address in page.addresses)
    assert 'http' not in re.sub(r'data:[^"]*', '', path.read_text())
    return page.text


def test_one_run_has_its_scores_pictures_command_and_environment(make_run):
    folder, mean = make_run('run <i>& co')
    page = write_run_report([folder])
    assert page == folder / 'report.html'
    text = read(page)
    for part in (
        'run <i>& co', f'{mean:.1f}', '9 images, at the last validation: iteration 4.',
        'city/<b>3</b>', 'person', 'not in the labels', 'python tools/train.py toy.py',
        "--seed '<7>'", 'torch', 'toy.py',
    ):  # fmt: skip
        assert part in text, part
    assert 'second minus first' not in text
    html = page.read_text()
    assert '<b>3</b>' not in html and '<i>&' not in html
    # four drawn and four of the lowest: image, label and prediction of each; one panel
    assert html.count('data:image/jpeg') == 8 + 1 and html.count('data:image/png') == 16
    assert html.count('class="slider"') == 8
    assert html.count('data:image/svg') == 2 * 2  # mIoU and the loss, light and dark


def test_several_runs_stand_side_by_side_on_the_same_images(make_run, tmp_path):
    (first, one), (second, two) = make_run('a'), make_run('b', wrong=9)
    page = write_run_report([first, second], tmp_path / 'both.html')
    text = read(page)
    assert one > two and f'{two - one:+.1f}' in text and f'{one:.1f}' in text
    assert 'says nothing of the spread between seeds' in text
    html = page.read_text()
    drawn = html[html.index('drawn by their names') : html.index('with the lowest scores')]
    assert drawn.count('<article>') == 4 and drawn.count('class="slider"') == 8


def test_no_difference_of_runs_that_were_scored_on_other_images(make_run, tmp_path):
    runs = [make_run('a')[0], make_run('b', images=5)[0]]
    text = read(write_run_report(runs, tmp_path / 'both.html'))
    assert 'second minus first' not in text and '9 or 5 images' in text


def test_a_run_without_validation_says_so(make_run):
    text = read(write_run_report([make_run('a', validated=False)[0]]))
    assert 'No scores by class and no pictures: a was not validated' in text
    assert 'loss_source' not in text and 'Inside a training step' not in text


def test_what_is_no_run_or_damaged_is_named(make_run, tmp_path):
    folder, _ = make_run('a')
    with pytest.raises(FileNotFoundError, match='no scalars.json below .*nothing'):
        write_run_report([tmp_path / 'nothing'])
    with pytest.raises(DataError, match='named twice'):
        write_run_report([folder, tmp_path / '.' / 'a'])
    path = folder / 'vis/validation' / RECORD
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {'worst': [{}]}))
    with pytest.raises(DataError, match='record.json is no record of a scored set'):
        write_run_report([folder])


def test_a_record_shows_files_of_its_own_folder_alone(make_run):
    folder, _ = make_run('a')
    path = folder / 'vis/validation' / RECORD
    content = json.loads(path.read_text())
    content['worst'][0]['image'] = '../../../../etc/passwd'
    path.write_text(json.dumps(content))
    assert read_record(path.parent).worst[0].image == path.parent / 'passwd'


def test_drawn_images_do_not_depend_on_the_scores_nor_on_the_order(tmp_path):
    names = []
    for wrong, order in ((1, range(12)), (20, reversed(range(12)))):
        cases = WorstCases(CLASSES)
        for i in order:
            cases.update(scored(tmp_path, i, wrong))
        names.append([score.name for score, *_ in cases.drawn()])
        assert len(cases.worst()) == 8
    assert names[0] == names[1] and len(names[0]) == 4
