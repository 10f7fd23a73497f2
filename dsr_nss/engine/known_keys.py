"""Which top-level names of a config mean something when it has been read."""

#: Top-level keys that the runner or a tool reads. Others are a config's own variables.
KNOWN_KEYS = (
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg',
    'val_cfg', 'test_cfg', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator',
    'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher',
    'env_cfg', 'log_processor', 'log_level', 'visualizer', 'default_scope', 'randomness',
    'experiment_name', 'custom_imports', 'model_wrapper_cfg', 'test_sets', 'vis_backends',
    'compile', 'activation_checkpointing', 'sync_bn', 'find_unused_parameters', 'classes',
)  # fmt: skip
#: Besides, what tools read of a config.
_READ_BY_TOOLS = ('default_test_sets', 'test_pipeline')


def is_read(name: str) -> bool:
    """Whether a top-level name is read, and no variable that the config has used for others."""
    return name in KNOWN_KEYS or name in _READ_BY_TOOLS
