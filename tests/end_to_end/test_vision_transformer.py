"""A student on a vision transformer with masked patches: from training to a plain checkpoint."""

import shutil

import torch
import toy_adaptation

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.inference.load import load_model

NAMES = f"""
class_names, long_tail = {CLASSES}, {GROUPS['long_tail']}
"""
MODEL = """
model = dict(
    type='DSRNSS',
    data_preprocessor=dict(type='AdaptationPreprocessor'),
    student=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name='vit_tiny_patch16_dinov3_qkvb'),
        decode_head=dict(type='LightHead', in_channels=192, num_classes=19),
    ),
    teacher=dict(type='EMATeacher', momentum=0.9),
    mixup=dict(type='DSRMixup', class_names=class_names, always_classes=()),
    alignment=dict(
        type='FPALoss', class_names=class_names, long_tail_classes=long_tail, start=1
    ),
    masking=dict(type='MaskedConsistency', unit='token', ratio=0.5),
    confidence_threshold=0.0,
)
train_dataloader['dataset']['size'] = 40
train_cfg['max_iters'] = 2
param_scheduler['warmup'] = 1
default_hooks['checkpoint']['interval'] = 1
optim_wrapper['paramwise_cfg']['layer_decay'] = 0.9
"""


def test_it_trains_resumes_bit_by_bit_and_becomes_a_plain_segmentor(train, tmp_path):
    (config,) = tmp_path.glob('toy_*.py')
    config.write_text(toy_adaptation.CONFIG + NAMES + MODEL)
    code, printed = train('--work-dir', 'whole')
    assert code == 0 and 'loss_masked' in printed, printed
    (tmp_path / 'parts').mkdir()
    shutil.copy('whole/iter_1.pth', 'parts/iter_1.pth')
    (tmp_path / 'parts/last_checkpoint').write_text('iter_1.pth')
    assert train('--work-dir', 'parts', '--resume')[0] == 0
    whole, parts = (load_checkpoint_file(f'{run}/iter_2.pth') for run in ('whole', 'parts'))
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, parts['state_dict'][name]), name
    for number, state in whole['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(value, parts['optimizer']['state'][number][name]), (number, name)

    result = convert_checkpoint(
        'whole/iter_2.pth', 'plain.pth', layout='mmseg', config_out='plain.py'
    )
    assert result.comparison.complete and result.config['type'] == 'EncoderDecoder'
    plain = load_model('plain.py', 'plain.pth', device='cpu')
    back = convert_checkpoint('plain.pth', 'back.pth', config_out='back.py')
    assert back.comparison.complete
    image = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        logits = plain(image, mode='tensor')
        again = load_model('back.py', 'back.pth', device='cpu')(image, mode='tensor')
    assert logits.shape == (1, 19, 12, 16) and torch.equal(logits, again)
    assert all(
        torch.equal(value, whole['state_dict'][f'student.{name}'])
        for name, value in plain.state_dict().items()
    )
