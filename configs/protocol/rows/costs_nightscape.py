# What the method may take from the large static classes (docs/protocol.md), one change at a time, for
# `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'what may cost the large static classes'
seeds = [0, 1, 2, 3]
reference = 'with_fpa'
logged = ['target_weight']
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_changed = dict(
    lower_threshold=('more weight of the target: threshold 0.8', 'confidence_threshold', 0.8),
    always_alone=('more of the target: no random classes', 'mixup.random_half', False),
    bank_less_often=('bank pasted on every 10th step', 'bank.interval', 10),
    small_bank=('bank of two images', 'bank.capacity', 2),
)
rows = [
    *(dict(row, label='DSR-NSS') for row in _base_.rows if row['name'] == 'with_fpa'),
    *(dict(row, label='without prototypes') for row in _base_.rows if row['name'] == 'with_bank'),
    *(
        dict(name=name, label=label, config=_method, options={f'+model.{field}': value})
        for name, (label, field, value) in _changed.items()
    ),
]
