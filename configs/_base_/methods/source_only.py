# Cross-entropy on the labelled source alone.
model = dict(
    type='SourceOnly',
    data_preprocessor=dict(type='AdaptationPreprocessor'),
)
