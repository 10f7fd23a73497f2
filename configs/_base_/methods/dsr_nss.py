# The whole method (docs/method.md explains every field). A config adds `student` and, where its
# schedule differs, `alignment.start`. Which classes the parts treat apart follows from the groups of the
# config's classes. Numbers in brackets are equations of arXiv 2310.04747.
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
    ),
    mixup=dict(type='DSRMixup'),  # [1]-[4]
    bank=dict(type='LongTailMemoryBank'),  # [5]
    augmentation=dict(type='PhotometricAugmentation'),
    alignment=dict(type='FPALoss', start=10000),  # [8]-[13]
    alpha=1.0,  # [15]
    beta=0.1,
)
