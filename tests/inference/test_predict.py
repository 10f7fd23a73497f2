"""The confidence that goes with a prediction."""

import mmengine.dataset
import pytest
import torch

from dsr_nss.errors import DataError
from dsr_nss.evaluation.test_sets import select_datasets
from dsr_nss.inference.load import load_model, read_model_config
from dsr_nss.inference.predict import predict, predict_set


@pytest.fixture
def model_and_set(config_file, checkpoint):
    dataset = select_datasets(read_model_config(config_file))['night_val']
    return load_model(config_file, checkpoint), dataset


@pytest.mark.parametrize('tta', [False, True])
def test_confidence_is_the_probability_of_the_class(model_and_set, tta):
    model, dataset = model_and_set
    data = mmengine.dataset.pseudo_collate([dataset[0]])
    ids, sample = predict(model, data, tta, with_confidence=True)
    confidence = sample['confidence']
    assert confidence.shape == ids.shape and confidence.dtype == torch.float32
    assert (confidence >= 1 / 19 - 1e-6).all() and (confidence <= 1).all()
    assert 'confidence' not in predict(model, data, tta)[1]
    if not tta:
        plain = model.test_step(data)[0]  # mmseg's own way
        probabilities = plain.seg_logits.data.softmax(dim=0)
        assert torch.equal(ids.long(), probabilities.argmax(dim=0))
        torch.testing.assert_close(confidence, probabilities.amax(dim=0))


@pytest.mark.parametrize('tta', [False, True])
def test_two_classes_in_one_channel(model_and_set, monkeypatch, tta):
    """mmseg's binary heads: one logit, class 1 where its probability exceeds the threshold."""
    model, dataset = model_and_set
    data = mmengine.dataset.pseudo_collate([dataset[0]])
    height, width = dataset[0]['inputs'].shape[-2:]

    def inference(inputs, metas):
        return torch.logit(torch.full((1, 1, *inputs.shape[-2:]), 0.4))

    monkeypatch.setattr(model, 'inference', inference)
    model.decode_head.threshold = 0.3
    ids, sample = predict(model, data, tta, with_confidence=True)
    assert (ids == 1).all()  # 0.4 exceeds the threshold
    torch.testing.assert_close(sample['confidence'], torch.full((height, width), 0.4))
    model.decode_head.threshold = 0.5
    ids, sample = predict(model, data, tta, with_confidence=True)
    assert (ids == 0).all()
    torch.testing.assert_close(sample['confidence'], torch.full((height, width), 0.6))


def test_a_share_of_a_set(model_and_set):
    model, dataset = model_and_set
    options = dict(title='night_val', workers=0, progress=False)
    whole = {i: ids for i, ids, _ in predict_set(model, dataset, range(3), **options)}
    share = {i: ids for i, ids, _ in predict_set(model, dataset, range(1, 3, 2), **options)}
    assert list(whole) == [0, 1, 2] and list(share) == [1]
    assert torch.equal(share[1], whole[1])
    assert list(predict_set(model, dataset, range(5, 3), **options)) == []


@pytest.mark.parametrize(
    ('value', 'amp', 'said'),
    [
        (float('nan'), None, 'its weights or the image'),
        (float('inf'), None, 'its weights or the image'),
        (float('-inf'), None, 'its weights or the image'),
        (float('nan'), 'fp16', 'float16 ends at 65504; take bf16'),
    ],
)
def test_scores_that_are_not_finite_are_no_class(model_and_set, monkeypatch, value, amp, said):
    model, dataset = model_and_set
    data = mmengine.dataset.pseudo_collate([dataset[0]])

    def inference(inputs, metas):
        scores = torch.zeros(1, 19, *inputs.shape[-2:])
        scores[0, 4] = 1
        scores[0, 7, 0, 0] = worst
        return scores

    monkeypatch.setattr(model, 'inference', inference)
    worst = 0.0
    assert (predict(model, data)[0] == 4).all()
    worst = value
    with pytest.raises(DataError, match=rf'0\.jpg: .*NaN or infinity: {said}'):
        predict(model, data, amp=amp)
