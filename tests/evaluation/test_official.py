"""`mIoU_official` is what the Cityscapes script computes from the same files."""

import numpy as np
import pytest
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.score import score
from tests.evaluation.scored_images import make_images

labels = pytest.importorskip('cityscapesscripts.helpers.labels', reason='pip: cityscapesscripts')
official = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')


def to_label_ids(train_ids):
    """The script reads the data set's own ids; 0 is one of those that it ignores."""
    table = np.zeros(256, np.uint8)
    for train_id in range(len(CLASSES)):
        table[train_id] = labels.trainId2label[train_id].id
    return table[train_ids]


@pytest.mark.parametrize('case', ['plain', 'predicted but absent', 'gaps'])
def test_equals_the_script(tmp_path, case):
    files = []
    for image in make_images():
        prediction = image.prediction.copy()
        if case == 'predicted but absent':
            prediction[0, :5] = 16  # no train is labelled
            image.label[0, :5] = 0
        if case == 'gaps':
            prediction[3:9, 4:20] = 255  # nothing predicted: missed, and nobody's false positive
        for folder, ids in (('prediction', prediction), ('label', image.label)):
            for kind, values in (('train', ids), ('ids', to_label_ids(ids))):
                path = tmp_path / f'{folder}_{kind}' / f'{image.name}.png'
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(values).save(path)
        files.append(
            [str(tmp_path / f'{f}_ids' / f'{image.name}.png') for f in ('prediction', 'label')]
        )
    official.args.evalInstLevelScore = False
    official.args.quiet, official.args.JSONOutput = True, False
    expected = official.evaluateImgLists(*zip(*files, strict=True), official.args)
    result = score(tmp_path / 'prediction_train', tmp_path / 'label_train', workers=1)
    assert result['mIoU_official'] / 100 == pytest.approx(expected['averageScoreClasses'], abs=1e-9)
    for name in CLASSES:
        value = expected['classScores'][name]
        if result[f'IoU/{name}'] is not None:
            assert result[f'IoU/{name}'] / 100 == pytest.approx(value, abs=1e-9)
        else:
            assert np.isnan(value) or (case == 'predicted but absent' and value == 0)
    assert (result['mIoU'] == result['mIoU_official']) == (case != 'predicted but absent')
