# Logging, checkpoints, safety nets. Shared by all configs.
default_scope = 'mmseg'
custom_imports = dict(imports=['dsr_nss'], allow_failed_imports=False)

env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork'))
log_level = 'INFO'
log_processor = dict(type='AdaptationLogProcessor')
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    runtime_info=dict(type='TrainingInfoHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='SafeCheckpointHook', interval=4000, max_keep_ckpts=2),
    sampler_seed=None,  # the sampler needs no epochs
    seed=dict(type='SeedEachIteration'),
    finite_loss=dict(type='FiniteLossGuard'),
    graceful_stop=dict(type='GracefulStop'),
    panel=dict(type='PanelHook', interval=1000),
    validation_record=dict(type='ValidationRecordHook'),
)
randomness = dict(seed=0)
resume = False
