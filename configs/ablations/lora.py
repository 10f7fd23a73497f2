"""LoRA on a vision transformer: adapters of rank 16 and the head are trained, the encoder is frozen (docs/vfm.md).

python tools/train.py configs/dsr_dinov2_l_darkzurich.py --with configs/ablations/lora.py

It needs `pip install -e '.[lora]'`. SoMA's start: `--cfg-options +model.student.backbone.lora.start=soma`.
Encoder and head have the ratio of rates that SoMA trained with.
"""

model = dict(student=dict(backbone=dict(lora=dict(rank=16, targets=('qkv', 'proj', 'fc1', 'fc2')))))
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=0.5, layer_decay=1.0))
