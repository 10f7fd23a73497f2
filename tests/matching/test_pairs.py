"""What the preprocessor makes of a collated batch of image pairs."""

import pytest
import torch
from mmseg.registry import MODELS


def collated(has_reference, size=(8, 10)):
    shape = (len(has_reference), 3, *size)
    generator = torch.Generator().manual_seed(0)
    return dict(
        target=torch.randint(256, shape, generator=generator, dtype=torch.uint8),
        reference=torch.randint(256, shape, generator=generator, dtype=torch.uint8),
        has_reference=torch.tensor(has_reference),
        files=dict(target=['a'] * len(has_reference), reference=['b'] * len(has_reference)),
    )


def test_references_of_the_samples_that_have_one():
    preprocessor = MODELS.build(dict(type='ImagePairPreprocessor'))
    data = collated([True, False, True])
    pairs = preprocessor(data, training=True)
    assert pairs.paired.tolist() == [0, 2]
    torch.testing.assert_close(pairs.target * 255, data['target'].float())
    torch.testing.assert_close(pairs.reference * 255, data['reference'][[0, 2]].float())
    assert pairs.target.dtype == torch.float32 and pairs.target.max() <= 1
    assert preprocessor(collated([False])).reference.shape == (0, 3, 8, 10)
    assert not preprocessor.state_dict()


def test_sizes_that_differ():
    data = {**collated([True]), 'reference': collated([True], size=(8, 12))['reference']}
    with pytest.raises(ValueError, match=r'one size, got \(1, 3, 8, 10\) and \(1, 3, 8, 12\)'):
        MODELS.build(dict(type='ImagePairPreprocessor'))(data)
