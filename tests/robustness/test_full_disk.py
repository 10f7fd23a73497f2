"""Every kind of result on a full disk: one sentence with the path, nothing half, nothing lost."""

import os

import numpy as np
import pytest
import torch

from dsr_nss.checkpoints.writing import save_checkpoint_file
from dsr_nss.engine.launch import explain
from dsr_nss.errors import EXPLAINED, StorageError
from dsr_nss.files import write_json
from dsr_nss.inference.inputs import Input
from dsr_nss.inference.pictures import write_picture
from dsr_nss.inference.record import Results
from dsr_nss.visualization.scores import confusion_figure, save_png
from tests.evaluation.test_submission import write as write_submission
from tests.full_disk import largest_file

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def figure(path):
    save_png(confusion_figure(np.eye(3), ('a', 'b', 'c'), 'title'), path)


def record(path):
    written = Results(path.parent, {}, overwrite=True)
    written.path = path
    path.write_text('x' * 1490)
    image = path.with_name('image.png')
    image.touch()
    try:
        written.add(Input(image, 'image', False), None)
    finally:
        path.write_text('old' if path.read_text().startswith('x' * 1490) else 'broken')
        image.unlink()


@pytest.mark.parametrize(
    'write',
    [
        lambda path: write_json(path, dict(scores=list(range(1000)))),
        lambda path: write_picture(path, NOISE),
        figure,
        record,
        lambda path: write_submission('dark_zurich', path),
        lambda path: save_checkpoint_file(path, dict(weight=torch.zeros(1000))),
    ],
    ids=['json', 'picture', 'figure', 'record', 'submission', 'checkpoint'],
)
def test_one_sentence_and_the_old_file(tmp_path, capsys, write):
    path = tmp_path / 'result.zip'
    path.write_text('old')
    with largest_file(1500), pytest.raises(EXPLAINED) as error:
        write(path)
    assert isinstance(error.value, StorageError)
    assert explain(error.value) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f'error: cannot write {path}: File too large (')
    assert 'run the same command again. Files that were there before are unchanged' in printed
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['result.zip']
