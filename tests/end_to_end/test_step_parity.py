"""The training step is the published one: recorded draws in, recorded numbers out.

Records of Refign's code and of the authors' (see `tests.reference.published_step`) lie thinned in
`tests/reference/steps`. Whole ones, or others of the same form, are found in the folder that
`DSR_NSS_STEP_REFERENCES` names, with the names and shapes of their network beside them.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.end_to_end.step_replay import Record, train

OWN = Path(__file__).parents[1] / 'reference/steps'
ROOT = Path(__file__).parents[2]
GIVEN = Path(os.environ.get('DSR_NSS_STEP_REFERENCES', ROOT.parent / 'shared/reference/steps/dev'))

pytestmark = pytest.mark.parity


def records() -> dict[str, Record]:
    """All records by name; a given one takes the place of its thinned copy."""
    found = {}
    for folder in (OWN, GIVEN):
        for path in sorted(folder.glob('*_seed*.npz')):
            keys = 'hrda_mit_b0.keys.json' if '_full_' in path.name else None
            keys = keys or 'hrda_mit_b0_width32.keys.json'
            found[path.stem] = (path, OWN / keys, OWN / 'matcher_bias.npz')
    return found


@pytest.fixture(params=records().values(), ids=records().keys(), scope='module')
def run(request):
    """A record, and our step trained by its draws: float64, one thread."""
    record = Record(*request.param)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        try:
            yield record, train(record, ROOT, patch)
        finally:
            torch.set_num_threads(threads)


def steps(record: Record, name: str) -> list[np.ndarray]:
    return [record.values[f's{i}.{name}'] for i in range(record.meta['steps'])]


def test_losses_and_rates(run):
    record, ours = run
    for i, theirs in enumerate(record.meta['losses']):
        own = ours[f's{i}.losses']
        expected = dict(
            loss_source=theirs['train_loss_src'],
            loss_mixed=theirs['train_loss_uda_trg'],
            loss_feature_distance=theirs['train_loss_featdist_src'],
        )
        if 'loss_metric' in theirs:  # source with night; source with mixed counts a hundredth
            expected['loss_proto'] = theirs['loss_metric'] + theirs['loss_align'] / 100
        assert own == pytest.approx(expected, rel=1e-6, abs=1e-9), f'step {i}'
        assert ours[f's{i}.q'] == pytest.approx(record.meta['q'][i], abs=1e-9)
        np.testing.assert_allclose(ours[f's{i}.lr'], record.values[f's{i}.lr'], rtol=1e-12)


def test_labels_and_mixed_images(run):
    record, ours = run
    for i in range(record.meta['steps']):
        theirs = {n: record.values[f's{i}.{n}'] for n in ('pseudo_label', 'mixed_label')}
        for name, label in theirs.items():
            assert (ours[f's{i}.{name}'] != label).sum() <= 2, f'step {i}, {name}'
        # the published warp is in float32 whatever the precision of the rest
        scores = record.values[f's{i}.scores']
        np.testing.assert_allclose(ours[f's{i}.scores'], scores, rtol=0, atol=1e-5)
        bits = np.unpackbits(ours[f's{i}.weight_is_one'] ^ record.values[f's{i}.weight_is_one'])
        assert bits.sum() == 0, f'step {i}: other pixels have weight one'
        # kornia draws the factors of the jitter in float32
        image = record.values[f's{i}.mixed_image']
        np.testing.assert_allclose(ours[f's{i}.mixed_image'], image, rtol=0, atol=1e-6)


def test_gradients(run):
    record, ours = run
    tolerance = 1e-4 if record.meta['augmentation'] else 1e-6
    for i in range(record.meta['steps']):
        theirs = record.values[f's{i}.grad'].astype(np.float64)
        difference = np.linalg.norm(ours[f's{i}.grad'] - theirs) / np.linalg.norm(theirs)
        assert difference < tolerance, f'step {i}'
        # biases in front of a norm have no gradient but noise: not relative to themselves
        norms = record.values[f's{i}.grad_norm']
        relative = np.abs(ours[f's{i}.grad_norm'] - norms) / norms.clip(1e-3 * norms.max())
        assert relative.max() < tolerance, f'step {i}'


def test_weights_and_statistics_of_student_and_teacher(run):
    record, ours = run
    names = [*(f's{i}.teacher' for i in range(record.meta['steps'])), 'end.student', 'end.teacher']
    if not record.authors:  # their night pass updates the head's norms; ours runs no head
        names.append('end.student_running')
    for name in names:
        np.testing.assert_allclose(ours[name], record.values[name], rtol=1e-6, atol=1e-6)
