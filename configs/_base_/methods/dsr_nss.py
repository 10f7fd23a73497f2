# The whole method (docs/method.md explains every field). A config adds `student` and, where its
# crop or schedule differs, `bank.size` and `alignment.start`. Numbers in brackets are equations of
# arXiv 2310.04747.
_base_ = '../classes.py'

model = dict(
    type='DSRNSS',
    data_preprocessor=dict(type='AdaptationPreprocessor'),
    teacher=dict(type='EMATeacher', momentum=0.999),  # lambda [7]
    refinement=dict(
        type='HolisticRefinement',
        aligner=dict(  # docs/alignment.md says where to get the weights, and how to do without
            type='UAWarpC',
            init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/uawarpc_megadepth.pth'),
        ),
        class_names=_base_.class_names,
        static_classes=_base_.large_static,
    ),
    mixup=dict(  # [1]-[4]
        type='DSRMixup',
        class_names=_base_.class_names,
        always_classes=_base_.small + _base_.dynamic,
    ),
    bank=dict(  # [5]
        type='LongTailMemoryBank',
        class_names=_base_.class_names,
        long_tail_classes=_base_.long_tail,
        size=(1024, 1024),
    ),
    augmentation=dict(type='PhotometricAugmentation'),
    alignment=dict(  # [8]-[13]
        type='FPALoss',
        class_names=_base_.class_names,
        long_tail_classes=_base_.long_tail,
        start=10000,
    ),
    alpha=1.0,  # [15]
    beta=0.1,
)
