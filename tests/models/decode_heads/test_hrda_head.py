"""HRDAHead: its fields."""

import pytest
from mmseg.registry import MODELS

from tests.models.segmentors.networks import head_config, hrda_head_config


def test_it_has_no_classifier_of_its_own():
    head = MODELS.build(hrda_head_config(classes=7))
    assert head.num_classes == head.out_channels == 7
    assert {name.split('.')[0] for name in head.state_dict()} == {'head', 'scale_attention'}
    head.init_weights()
    assert head.head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.3)


def test_fields_out_of_range():
    for fields, message in (
        (dict(detail_loss_weight=1.5), 'detail_loss_weight must lie'),
        (dict(detail_stride=0), 'detail_stride must lie'),
        (dict(detail_stride=1.1), 'detail_stride must lie'),
    ):
        with pytest.raises(ValueError, match=message):
            MODELS.build(hrda_head_config(**fields))


def test_heads_of_different_classes():
    attention = head_config(classes=5, fusion='conv1x1')
    with pytest.raises(ValueError, match='head has 19 classes, scale_attention 5'):
        MODELS.build(dict(type='HRDAHead', head=head_config(), scale_attention=attention))
