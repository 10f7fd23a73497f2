"""What texts of `--cfg-options` mean."""

import pytest
import toy_adaptation

from dsr_nss.engine.config import read_config
from dsr_nss.engine.options import option_values
from dsr_nss.errors import ConfigError


def test_texts_are_values():
    texts = [
        'a.b=1',
        '+c=1e-3',
        'd=(1,2)',
        'e=None',
        'f=[[1,2],x]',
        'g=k=v',
        'h=',
        'a.b=2',
        '-i=-1',
    ]
    assert option_values(texts) == {
        'a.b': 2, '+c': 1e-3, 'd': (1, 2), 'e': None, 'f': [[1, 2], 'x'], 'g': 'k=v', 'h': '',
        '-i': -1,
    }  # fmt: skip
    assert option_values(None) == option_values([]) == option_values({}) == {}
    assert option_values({'a': '1'}) == {'a': '1'}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('model.width', 'model.width: write KEY=VALUE'),
        ('a=1,(2', r'a=1,\(2: Imbalanced'),
        ("a=[dict(type='Pad',size=3)]", 'a=.*: a value is a number, a word or a list'),
        ('a=dict(b=1)', r'a=dict\(b=1\): a value is'),
        ('a={b:1}', 'a={b:1}: a value is'),
    ],
)
def test_what_is_no_option_is_named(text, message):
    with pytest.raises(ConfigError, match=f'--cfg-options {message}'):
        option_values(['b=1', text])


def test_a_config_takes_texts_and_values_alike(tmp_path):
    path = tmp_path / 'toy.py'
    path.write_text(toy_adaptation.CONFIG)
    by_text = read_config(path, ['optim_wrapper.optimizer.lr=1e-4', 'vis_backends=[]'])
    by_value = read_config(path, {'optim_wrapper.optimizer.lr': 1e-4, 'vis_backends': []})
    assert by_text.optim_wrapper.optimizer.lr == 1e-4 and by_text.visualizer.vis_backends == []
    assert by_text._cfg_dict == by_value._cfg_dict
    with pytest.raises(ConfigError, match='has no .optimiser'):
        read_config(path, ['optim_wrapper.optimiser.lr=1'])
