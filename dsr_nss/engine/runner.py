"""mmengine's runner with strict loading, whole checkpoints and training on several CPUs."""

import time
from collections.abc import Mapping
from pathlib import Path

import mmengine
import torch
from mmengine.dist import is_distributed, is_main_process
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu
from mmengine.utils import apply_to
from mmseg.registry import RUNNERS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dsr_nss.checkpoints.comparison import compare
from dsr_nss.checkpoints.mmengine_loading import local_file
from dsr_nss.checkpoints.reading import named_tensors
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import save_checkpoint_file
from dsr_nss.engine.class_block import check_outputs, unfilled_groups
from dsr_nss.engine.config_changes import changes_since, refuse_changes
from dsr_nss.engine.environment import describe_environment
from dsr_nss.engine.process_states import ENTRY as PROCESSES
from dsr_nss.engine.process_states import (
    gather_process_states,
    load_process_state,
    restore_generators,
)
from dsr_nss.engine.processes import join_cpu_processes, plain_model
from dsr_nss.engine.resume_checks import check_optimizer, check_training_state
from dsr_nss.engine.resume_points import latest_checkpoint
from dsr_nss.engine.resumed_rates import built_settings, check_schedulers, restore_settings
from dsr_nss.engine.run_info import add_start
from dsr_nss.engine.start import load_start, read_start
from dsr_nss.engine.workers import CONNECTION_LOST, StandstillGuard, explain_loader, protect_workers
from dsr_nss.errors import CheckpointError, ConfigError, StorageError
from dsr_nss.files import write_atomically


@RUNNERS.register_module()
class AdaptationRunner(Runner):
    """What `tools/train.py` trains with.

    - A resumed checkpoint must fit the model key by key, the memory bank included; `load_from`
      starts a new run from the student of any checkpoint. Neither passes over a mismatch.
    - A resumed run has the config of the run that it continues, unless changes are allowed; then
      the config's values count, not those in the checkpoint.
    - A checkpoint holds what every process has for itself.
    - Checkpoint files are written whole or not at all, and say what they were made with.
    - Several processes train through `AdaptationDDP`, with NCCL on GPUs and Gloo on CPUs.
    """

    #: Whether a resumed run may have another config than the run that it continues.
    allow_changes = False
    _resuming = False
    _saved_iteration: int | None = None
    _generators: Mapping | None = None

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes; mmengine's own start selects a GPU even where there is none."""
        if self.distributed and not torch.cuda.is_available() and not is_distributed():
            join_cpu_processes(self.launcher)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """The model on its device, inside an `AdaptationDDP` when there are several processes."""
        if self.distributed:
            model_wrapper_cfg = {'type': 'AdaptationDDP', **(model_wrapper_cfg or {})}
            if 'find_unused_parameters' in self.cfg:  # mmengine reads it without a wrapper only
                unused = self.cfg['find_unused_parameters']
                model_wrapper_cfg.setdefault('find_unused_parameters', unused)
        return super().wrap_model(model_wrapper_cfg, model)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """mmengine's loader; its workers survive signals that ask the run to stop.

        `num_workers=0` alone switches workers off: what only workers have does not matter then.
        """
        if isinstance(dataloader, dict) and dataloader.get('num_workers') == 0:
            of_workers = ('persistent_workers', 'prefetch_factor')
            dataloader = {k: v for k, v in dataloader.items() if k not in of_workers}
        return protect_workers(Runner.build_dataloader(dataloader, *args, **kwargs))

    def build_train_loop(self, loop):
        """mmengine's loop; a network whose outputs are not the classes of the labels is refused."""
        built = super().build_train_loop(loop)
        for note in unfilled_groups(self.cfg):
            self.logger.warning(note)
        check_outputs(plain_model(self), built.dataloader.dataset)
        return built

    def train(self) -> nn.Module:
        """Train; however that ends, Ctrl-C means again what it meant before."""
        self.logger.info(_trained_share(plain_model(self)))
        try:
            with StandstillGuard() as guard:
                return super().train()
        except (RuntimeError, *CONNECTION_LOST) as error:
            explained = explain_loader(error, guard.ended)
            if explained is None:
                raise
            raise explained from error
        finally:
            self.call_hook('restore_signals')

    def dump_config(self) -> None:
        """Not when the runner is made, as mmengine does, but once the run is known to start."""

    def load_or_resume(self) -> None:
        """Load weights or the state; then the whole config goes into the work dir.

        A resume that is refused leaves the config of the run that it would not have continued.
        """
        super().load_or_resume()
        super().dump_config()
        if is_main_process():
            add_start(self.work_dir, self.seed)

    def _maybe_compile(self, target: str) -> None:
        """`compile=True`, or a dict of options: `torch.compile` for the networks of the step.

        mmengine's own compiles `train_step` as a whole, with its draws, its backward pass and its
        optimiser, and breaks at each of them.
        """
        setting = self.cfg.get('compile') or None
        if setting is None or target != 'train_step':
            return
        model = plain_model(self)
        if not hasattr(model, 'compile_networks'):
            raise ConfigError(f'compile: a {type(model).__name__} cannot be compiled; remove it')
        model.compile_networks(**({} if setting is True else setting))
        self.logger.info('networks are compiled: the first steps take minutes')

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """As mmengine's; None switches any hook off, not only those that mmengine knows."""
        known = (
            'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint',
        )  # fmt: skip
        kept = {k: v for k, v in (hooks or {}).items() if v is not None or k in known}
        super().register_default_hooks(kept)

    # --- reading -------------------------------------------------------------------------------

    def resume(self, filename: str, **kwargs) -> None:
        """Continue the run in `filename` exactly.

        Raises:
            CheckpointError: The file is no training checkpoint of this model and optimiser.
        """
        self._resuming = True
        kwargs['map_location'] = 'cpu'
        optimizer = self.optim_wrapper.optimizer
        built, config_text = built_settings(optimizer), self._config_text()
        try:
            super().resume(filename, **kwargs)
            check_optimizer(filename, optimizer)
            restore_settings(optimizer, built, self._schedulers())
            # the checkpoint brought its own along, also into the next one
            self.message_hub.update_info('cfg', config_text)
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise CheckpointError(
                f'cannot resume from {filename}: its optimiser, schedule or counters do not fit '
                f'this config ({error}). Resume with the config it was trained with'
            ) from error
        finally:
            self._resuming = False

    def load_checkpoint(self, filename: str, map_location='cpu', **kwargs) -> dict:
        """Weights of `filename` into the model; all of them to resume, else the student's.

        `filename` is what `load_from` states, see `dsr_nss.engine.start`.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: It is no checkpoint, or not one of this model.
        """
        start = read_start(filename)
        filename = start.checkpoint
        checkpoint = load_checkpoint_file(local_file(filename), map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = plain_model(self)
        state = named_tensors(checkpoint, filename)
        if self._resuming:
            self._check_resumable(filename, checkpoint, state, model)
            load_all(model, state, filename)
            notice, self._generators = load_process_state(filename, checkpoint, model)
            if notice is not None:
                self.logger.warning(notice)
        else:
            left = load_start(model, state, filename, start.skip)
            if left:
                self.logger.warning(f'{len(left)} entries stay at random: {", ".join(left)}')
        self._has_loaded = True
        self.logger.info(f'loaded {filename}')
        return checkpoint

    def _check_resumable(
        self, filename: str, checkpoint: dict, state: dict[str, Tensor], model: nn.Module
    ) -> None:
        accumulated = self.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
        check_training_state(filename, checkpoint, state, model, accumulated)
        meta = checkpoint['meta']
        changes = changes_since(filename, meta, self._config_text())
        saved, given = meta.get('seed'), self._randomness_cfg.get('seed')
        given = saved if given is None else given  # without one it drew the saved one
        if saved != given and not any(change.startswith('randomness.seed') for change in changes):
            changes.append(f'randomness.seed: {saved!r:.20} -> {given!r:.20}')
        if not self.allow_changes:
            refuse_changes(filename, changes)
        check_schedulers(filename, changes, self._schedulers())
        for change in changes:
            self.logger.warning(f'changed since {filename}: {change}')
        meta['seed'] = given  # mmengine would go back to the saved one

    def _config_text(self) -> str:
        # the hook that writes it has formatted it before, which takes a second
        return self.message_hub.runtime_info.get('cfg') or self.cfg.pretty_text

    def _schedulers(self) -> list:
        return list(self.param_schedulers or [])

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """As mmengine's; generators go on where they were, after the loader has drawn its seed."""
        if fn_name == 'before_train_iter' and self._generators is not None:
            generators, self._generators = self._generators, None
            restore_generators(generators)
        super().call_hook(fn_name, **kwargs)

    # --- writing -------------------------------------------------------------------------------

    def save_checkpoint(  # type: ignore[override]
        self,
        out_dir: str,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = False,
        **unused,
    ) -> None:
        """Write a checkpoint whole: to a neighbouring file first, which then takes the name.

        mmengine's version writes in place, after two more copies of everything in memory. The
        arguments are those that its hooks pass; storage backends are not supported.
        """
        self.call_hook('before_checkpoint')  # on all processes
        model = plain_model(self)
        processes = gather_process_states(model)
        if not is_main_process():
            return
        counters = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch))
        checkpoint = {
            'meta': {**counters, **(meta or {}), **self._describe()},
            'state_dict': weights_to_cpu(model.state_dict()),
            'message_hub': self.message_hub.state_dict(),
            PROCESSES: processes,
        }
        if save_optimizer and self.optim_wrapper is not None:
            checkpoint['optimizer'] = apply_to(
                self.optim_wrapper.state_dict(), lambda x: hasattr(x, 'cpu'), lambda x: x.cpu()
            )
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = [s.state_dict() for s in self.param_schedulers]
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)

        save_checkpoint_file(Path(out_dir) / filename, checkpoint)

    def _describe(self) -> dict:
        """Where a checkpoint comes from: the resolved config, versions, commit, seed."""
        description = dict(
            cfg=self._config_text(),
            seed=self.seed,
            experiment_name=self.experiment_name,
            time=time.strftime('%Y%m%d_%H%M%S'),
            mmengine_version=mmengine.__version__,
            environment=describe_environment(),
        )
        if hasattr(self.train_dataloader.dataset, 'metainfo'):
            description['dataset_meta'] = dict(self.train_dataloader.dataset.metainfo)
        return description

    def save_training_state(self, iteration: int) -> Path:
        """Write `work_dir/iter_N.pth`, to resume after `iteration` iterations, unless just written.

        `work_dir/last_checkpoint` then names it, as other tools of mmengine expect.
        """
        path = Path(self.work_dir) / f'iter_{iteration}.pth'
        if self._saved_iteration == iteration:
            return path
        meta = dict(epoch=self.epoch, iter=iteration)
        try:
            self.save_checkpoint(self.work_dir, path.name, meta=meta, by_epoch=False)
        except StorageError as error:
            last = latest_checkpoint(self.work_dir)
            text = f'{error}; --resume continues from {last}' if last else str(error)
            raise StorageError(error.errno, text) from error
        self._saved_iteration = iteration
        if is_main_process():
            write_atomically(path.with_name('last_checkpoint'), str(path))
        return path

    # --- talking -------------------------------------------------------------------------------

    def get_hooks_info(self) -> str:
        """The hooks in the order they run; mmengine lists them once for every point of a run."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

    def _log_env(self, env_cfg: dict) -> None:
        """A few lines of versions and settings; mmengine also prints how torch was compiled."""
        run = dict(seed=self.seed, processes=self.world_size, work_dir=self.work_dir)
        facts = {**describe_environment(), **run}
        lines = ''.join(f'\n    {name}: {value}' for name, value in facts.items())
        self.logger.info(f'Environment:{lines}')
        self.logger.info(f'The whole config will be in {self.work_dir}')


def _trained_share(model: nn.Module) -> str:
    network = getattr(model, 'student', model)
    sizes = [(p.numel(), p.requires_grad) for p in network.parameters()]
    trained, every = sum(n for n, wanted in sizes if wanted), sum(n for n, _ in sizes)
    return f'{trained:,} of {every:,} weights are trained ({trained / every:.2%})'


def load_all(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict that must be exactly the model's.

    Raises:
        CheckpointError: Names what is missing, unknown or of another shape.
    """
    fit = compare(model.state_dict(), state)
    banks = {k: shapes for k, shapes in fit.mismatched.items() if k.split('.')[0] == 'bank'}
    if banks:
        shapes = '; '.join(f'{k}: {saved} saved, {own} here' for k, (saved, own) in banks.items())
        raise CheckpointError(
            f'cannot resume from {source}: its memory bank has another size ({shapes}). The bank '
            'is part of the training state: resume with the crop size and bank fields it was '
            'trained with, or start a new run from its student with load_from'
        )
    if not fit.complete:
        raise CheckpointError(
            f'{source} is a checkpoint of another model than the {type(model).__name__} of this '
            f'config: {"; ".join(fit.problems())}'
        )
    model.load_state_dict(state)
