"""Names in a config or an option that nothing reads are errors."""

import pytest
import toy_adaptation
from mmengine.config import Config
from mmseg.models import TIMMBackbone
from training_states import save_state

from dsr_nss.engine import preflight
from dsr_nss.engine.components import accepted_fields
from dsr_nss.engine.config import check_config, open_config, read_config
from dsr_nss.engine.launch import (
    configure_run,
    resume_command,
    short_message,
)
from dsr_nss.engine.preflight import impossible
from dsr_nss.errors import ConfigError, StorageError
from tests.full_disk import largest_file


@pytest.fixture
def write(tmp_path):
    def write_config(old='', new=''):
        assert old in toy_adaptation.CONFIG
        path = tmp_path / 'toy.py'
        path.write_text(toy_adaptation.CONFIG.replace(old, new) if old else toy_adaptation.CONFIG)
        return path

    return write_config


def test_good_config_passes(write):
    assert read_config(write()).model.type == 'ToyAdaptation'


def test_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        read_config('nowhere.py')


def test_what_is_no_config_is_named(tmp_path):
    (tmp_path / 'iter_9.pth').touch()
    with pytest.raises(ConfigError, match=r'iter_9.pth is no config: .*\.py, \.json'):
        open_config(tmp_path / 'iter_9.pth')
    with pytest.raises(FileNotFoundError, match='is a folder; name a config file'):
        open_config(tmp_path)


def test_a_full_disk_of_temporary_files_is_named(write):
    path = write()
    with largest_file(100), pytest.raises(StorageError, match='cannot write .*/toy.py: File too'):
        open_config(path)


def test_missing_base_is_named(write, tmp_path):
    path = write()
    path.write_text("_base_ = ['no_such_base.py']\n")
    with pytest.raises(FileNotFoundError, match='no_such_base.py'):
        read_config(path)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('interval=3', 'intervall=3', r'default_hooks\.checkpoint\.intervall.*mean interval'),
        ('warmup=2', 'warm_up=2', r'param_scheduler\.warm_up.*mean warmup'),
        ('window_size=2', 'window=2', r'log_processor\.window:.*window_size'),
        ('val_interval=1000', 'val_intervall=1', r'train_cfg\.val_intervall.*mean val_interval'),
        ('optim_wrapper = dict(', 'optim_wraper = dict(', "'optim_wraper'.*'optim_wrapper'"),
        (
            "data_preprocessor=dict(type='AdaptationPreprocessor')",
            "data_preprocessor=dict(type='AdaptationPreprocessor', bgr_to_rbg=True)",
            r'model\.data_preprocessor\.bgr_to_rbg.*mean bgr_to_rgb',
        ),
        ('train_cfg = dict(', 'unused = dict(', 'it has no train_cfg'),
        ('model = dict(', 'modle = dict(', "'modle'; did you mean 'model'"),
        ('optim_wrapper = dict(', 'optimizer_wrapper = dict(', "mean 'optim_wrapper'"),
        ('train_cfg = dict(', 'train_config = dict(', "mean 'train_cfg'"),
    ],
)
def test_unknown_field_is_named_with_its_path(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_config(write(old, new))


def test_a_module_that_cannot_be_imported_is_named_with_the_reason(tmp_path, monkeypatch):
    config = tmp_path / 'mine.py'
    config.write_text("custom_imports = dict(imports=['my_absent_module'])")
    with pytest.raises(ConfigError, match="mine.py cannot be read.* 'my_absent_module'; type the"):
        open_config(config)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'my_absent_module.py').write_text('from dsr_nss.models import Nothing')
    with pytest.raises(ConfigError, match="mine.py cannot be read: .*cannot import name 'Nothing'"):
        open_config(config)


def test_option_changes_a_field(write):
    config = read_config(write(), {'train_cfg.max_iters': 9, 'vis_backends.0.type': 'X'})
    assert config.train_cfg.max_iters == 9
    assert config.vis_backends[0].type == 'X'


def test_option_with_unknown_key_names_the_nearest(write):
    with pytest.raises(ConfigError, match=r'train_cfg.max_iter: .*mean train_cfg.max_iters'):
        read_config(write(), {'train_cfg.max_iter': 9})
    with pytest.raises(ConfigError, match='the config has no'):
        read_config(write(), {'zzz.y': 1})


@pytest.mark.parametrize('key', ['size', '+size', '+of_my_own'])
def test_option_that_nothing_reads_is_refused(tmp_path, key):
    path = tmp_path / 'sized.py'
    path.write_text(toy_adaptation.CONFIG + '\nsize = 3\n')
    with pytest.raises(ConfigError, match=f'nothing reads {key.removeprefix("+")}'):
        read_config(path, {key: 4})


@pytest.mark.parametrize('text', ['x = [][1]', 'x = 1 / 0', 'assert False', "_base_ = 'config.py'"])
def test_a_config_that_fails_is_named_with_the_reason(tmp_path, text):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match='config.py cannot be read: '):
        read_config(path)


@pytest.mark.parametrize('key', ['train_cfg', 'default_hooks', 'train_dataloader', 'model'])
def test_a_section_that_is_none_is_named(tmp_path, key):
    path = tmp_path / 'config.py'
    path.write_text(toy_adaptation.CONFIG + f'\n{key} = 5\n')
    with pytest.raises(ConfigError, match=f'{key} must be a dict'):
        read_config(path)


def test_option_with_plus_adds_a_field(write):
    assert read_config(write(), {'+model.width': 8}).model.width == 8
    with pytest.raises(ConfigError, match='intervall'):
        read_config(write(), {'+default_hooks.checkpoint.intervall': 8})


@pytest.mark.parametrize('start', ['a.pth', dict(checkpoint='a.pth', skip=('decode_head',))])
def test_a_start_is_stated_on_top_of_the_shipped_configs(tmp_path, repo_root, start):
    """As a file or as a dict, which mmengine would not put in the place of another value."""
    path = tmp_path / 'mine.py'
    base = repo_root / 'configs/source_only_deeplabv2_cityscapes.py'
    path.write_text(f'_base_ = {str(base)!r}\nload_from = {start!r}\n')
    assert read_config(path).load_from == start
    assert read_config(base, {'load_from': 'b.pth'}).load_from == 'b.pth'


def test_fields_are_followed_through_kwargs():
    class Base:
        def __init__(self, base=1):
            pass

    class Child(Base):
        def __init__(self, child=1, **kwargs):
            super().__init__(**kwargs)

    class Open:
        def __init__(self, **kwargs):
            pass

    assert accepted_fields(Child) == {'child', 'base'}
    assert accepted_fields(Base) == {'base'}
    assert accepted_fields(Open) is None or 'base' not in accepted_fields(Open)


def test_kwargs_that_leave_the_class_are_not_judged():
    def build(**kwargs):
        return kwargs

    class Base:
        def __init__(self, base=1):
            pass

    class Wrapper(Base):
        def __init__(self, name, **kwargs):
            super().__init__()
            self.network = build(name=name, **kwargs)

    assert accepted_fields(Wrapper) is None
    assert accepted_fields(TIMMBackbone) is None  # its kwargs are timm's


# --- configurations that cannot work --------------------------------------------------------------


def problems(config):
    with pytest.raises(ConfigError) as info:
        check_config(config)
    return str(info.value).splitlines()


@pytest.mark.parametrize(
    'loop',
    [
        dict(type='EpochBasedTrainLoop', max_epochs=3),
        dict(by_epoch=True, max_epochs=3),
        dict(type='IterBasedTrainLoop', max_iters=9, max_epochs=3),
    ],
)
def test_epochs_are_refused(write, loop):
    config = read_config(write())
    config.train_cfg = loop
    assert any(
        'epochs have no end here' in line and 'max_iters' in line for line in problems(config)
    )


def test_no_validation_by_one_field(write):
    path = write()
    path.write_text(path.read_text() + 'val_dataloader = None\nval_cfg = dict(type="ValLoop")\n')
    config = read_config(path)
    assert config.val_cfg is None and config.val_evaluator is None
    config.val_cfg = dict(type='ValLoop')
    (problem,) = problems(config)
    assert 'val_dataloader and val_evaluator is missing' in problem
    assert 'set val_dataloader=None' in problem
    config.val_cfg = None
    config.default_hooks.checkpoint.save_best = 'mIoU'
    assert 'save_best: there is no validation' in problems(config)[0]


def test_a_part_that_the_step_needs_must_not_be_none():
    parts = dict(teacher=None, mixup=None, refinement=None, bank=None)
    (teacher, mixup) = impossible(Config(dict(model=dict(type='DSRNSS', **parts))))
    assert teacher.startswith('model.teacher must not be None: DSRNSS needs it; ')
    assert 'random_half=False' in mixup


def test_processes_that_make_different_passes_must_not_wait_for_each_other():
    teacher = dict(type='EMATeacher', teacher_bn='batch_apart')
    model = dict(teacher=teacher, refinement=dict(type='HolisticRefinement'))
    config = Config(dict(model=model, sync_bn='torch'))
    (problem,) = impossible(config)
    assert 'batch_apart' in problem and 'leave one of them out' in problem
    plain = dict(model, teacher=dict(type='EMATeacher', teacher_bn='batch'))
    for change in (dict(sync_bn=None), dict(model=plain), dict(model=dict(teacher=teacher))):
        assert list(impossible(Config({**config, **change}))) == []


def test_losses_that_would_never_start():
    model = dict(alignment=dict(type='FPALoss', start=10000), bipath_start=3)
    config = dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=10000), model=model)
    assert list(impossible(Config(config))) == []
    config['train_cfg']['max_iters'] = 2
    alignment, bipath = impossible(Config(config))
    assert alignment.startswith('model.alignment.start is 10000, and the run ends after 2 steps')
    assert bipath.startswith('model.bipath_start is 3')


def test_what_a_head_of_mmseg_states_and_the_step_does_not_read():
    plain = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    head = dict(type='FCNHead', loss_decode=plain)
    model = dict(type='SourceOnly', student=dict(type='AdaptableEncoderDecoder', decode_head=head))
    assert list(impossible(Config(dict(model=model)))) == []
    head.update(loss_decode=dict(plain, class_weight=[1.0] * 19), sampler=dict(min_kept=9))
    model['student']['auxiliary_head'] = dict(type='FCNHead')
    found = list(impossible(Config(dict(model=model))))
    assert [line.split(' ')[0] for line in found] == [
        'model.student.auxiliary_head',
        'model.student.decode_head.loss_decode',
        'model.student.decode_head.sampler',
    ]
    assert all('would not be' in line for line in found)


def test_a_backend_needs_its_package(write, monkeypatch):
    monkeypatch.setattr(preflight.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError) as info:
        read_config(write(), {'vis_backends.1.type': 'WandbVisBackend'})
    assert 'visualizer.vis_backends.1: WandbVisBackend needs the package wandb' in str(info.value)


def test_backends_of_the_command_line_reach_the_visualizer(write):
    config = read_config(write(), {'vis_backends': [dict(type='LocalVisBackend')]})
    assert [backend.type for backend in config.visualizer.vis_backends] == ['LocalVisBackend']


def test_a_backend_is_there_once(write):
    message = r'visualizer\.vis_backends: LocalVisBackend is there 2 times; keep one'
    with pytest.raises(ConfigError, match=message):
        read_config(write(), {'vis_backends.1.type': 'LocalVisBackend'})


def test_nearest_types_and_all_problems_at_once(write):
    config = read_config(write())
    config.model.mixup = dict(type='DSRMixp')
    config.default_hooks.checkpoint.intervall = 3
    config.param_scheduler.warm_up = 3
    lines = problems(config)
    assert "model.mixup.type: no 'DSRMixp' is registered; did you mean DSRMixup?" in lines
    assert len(lines) == 3


def test_seed_reaches_data_weights_and_steps(write, tmp_path):
    config = read_config(write())
    configure_run(config, work_dir=str(tmp_path / 'w'), seed=5)
    assert config.randomness.seed == 5
    assert config.train_dataloader.dataset.seed == 5
    assert config.default_hooks.seed.seed == 5


def test_a_stated_seed_yields_to_a_typed_one_alone(write, tmp_path):
    for typed, seeds in ((None, (3, 7, 3)), (5, (5, 5, 5))):
        config = read_config(write())
        config.randomness = dict(seed=3)
        config.default_hooks.seed.seed = 7
        config.train_dataloader.dataset.pop('seed')
        configure_run(config, work_dir=str(tmp_path / 'w'), seed=typed)
        dataset, hook = config.train_dataloader.dataset, config.default_hooks.seed
        assert (config.randomness.seed, hook.seed, dataset.seed) == seeds


def test_resume_in_a_config_is_said_to_do_nothing(write, tmp_path, capfd):
    config = read_config(write())
    config.resume = True
    configure_run(config, work_dir=str(tmp_path / 'w'))
    assert not config.resume and '--resume goes on with a run' in ''.join(capfd.readouterr())


@pytest.mark.parametrize('seed', [-1, 2**32])
def test_a_seed_that_numpy_does_not_take_is_refused(write, tmp_path, seed):
    with pytest.raises(ConfigError, match=f'below 2\\*\\*32, got {seed}'):
        configure_run(read_config(write()), work_dir=str(tmp_path / 'w'), seed=seed)


def test_amp_replaces_the_wrapper(write, tmp_path):
    config = read_config(write())
    configure_run(config, work_dir=str(tmp_path / 'w'), amp='bf16')
    assert config.optim_wrapper.type == 'AdaptiveAmpOptimWrapper'
    assert config.optim_wrapper.dtype == 'bf16'
    assert config.optim_wrapper.constructor == 'GroupedOptimWrapperConstructor'


def test_work_dir_defaults_to_the_configs_name(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_config(write())
    configure_run(config)
    assert config.work_dir == 'work_dirs/toy'
    assert not (tmp_path / 'work_dirs').exists()  # nothing is written before all is checked


def test_unwritable_work_dir_is_an_error(write, tmp_path):
    (tmp_path / 'file').touch()
    config = read_config(write())
    config.work_dir = str(tmp_path / 'file' / 'x')
    with pytest.raises(ConfigError, match='cannot write to .*file/x'):
        configure_run(config)


def test_resume_takes_the_newest_of_the_work_dir(write, tmp_path):
    for number in (4, 12):
        save_state(tmp_path, number)
    config = read_config(write())
    configure_run(config, work_dir=str(tmp_path), resume='auto')
    assert config.resume and config.load_from == str(tmp_path / 'iter_12.pth')


def test_resume_without_a_checkpoint_starts_anew_and_keeps_load_from(write, tmp_path):
    config = read_config(write())
    config.load_from = 'start.pth'
    configure_run(config, work_dir=str(tmp_path / 'w'), resume='auto')
    assert not config.resume and config.load_from == 'start.pth'
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        configure_run(config, work_dir=str(tmp_path / 'w'), resume='gone.pth')


def test_resume_command_repeats_the_options(monkeypatch):
    arguments = ['c.py', '--resume', 'a.pth', '--seed', '3', '--cfg-options', 'a=1']
    assert resume_command(arguments) == (
        'python tools/train.py c.py --seed 3 --cfg-options a=1 --resume'
    )
    assert resume_command(['c.py', '--resume=a.pth']) == 'python tools/train.py c.py --resume'
    arguments = ['c.py', '--new', '--work-dir', 'w', '--seed', '3', '--work-dir=v']
    assert resume_command(arguments, work_dir='w-2') == (
        'python tools/train.py c.py --seed 3 --work-dir w-2 --resume'
    )
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    arguments = ['--seed', '3', 'c.py', '--launcher', 'pytorch']
    assert resume_command(arguments, 'pytorch') == (
        'torchrun --nproc_per_node 4 tools/train.py --seed 3 c.py --launcher pytorch --resume'
    )
    monkeypatch.setattr('sys.argv', ['dsr-nss train'])
    assert resume_command(arguments, 'pytorch') == (
        'torchrun --nproc_per_node 4 -m dsr_nss train --seed 3 c.py --launcher pytorch --resume'
    )


def test_message_of_a_loaders_worker_is_shortened():
    error = ValueError(
        'Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call '
        'last):\n  File "x.py", line 1\nValueError: a.png is cut off'
    )
    assert short_message(error) == 'a.png is cut off'
    assert short_message(ValueError('plain')) == 'plain'
