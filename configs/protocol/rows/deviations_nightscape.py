# What each choice is worth that this package made otherwise before, or that the authors' code makes
# otherwise (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'one other choice at a time'
reference = 'with_fpa'
_method = 'configs/protocol/dsr_from_source_nightscape.py'
rows = [
    *(row for row in _base_.rows if row['name'] == 'with_fpa'),
    dict(
        name='jitter_torchvision',
        label="torchvision's colour jitter",
        config=_method,
        overlays=['configs/ablations/jitter_torchvision.py'],
    ),
    dict(
        name='teacher_running',
        label='teacher on running statistics',
        config=_method,
        overlays=['configs/ablations/teacher_running.py'],
    ),
    dict(
        name='night_updated',
        label='night pass updates running statistics',
        config=_method,
        overlays=['configs/ablations/fpa_night_updated.py'],
    ),
    dict(
        name='fpa_finest_level',
        label='prototypes on the finest encoder map',
        config=_method,
        options={'model.alignment.feature_level': 0},
    ),
    dict(
        name='authors',
        label="the step of the authors' code",
        config=_method,
        overlays=['configs/ablations/authors.py'],
    ),
]
