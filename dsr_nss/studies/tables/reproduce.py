"""What `tools/reproduce.py` and `tools/compare.py` do: list, train and test, write."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from dsr_nss.commands import typed
from dsr_nss.errors import ConfigError
from dsr_nss.files import make_folder
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.execute import STOPPED, execute
from dsr_nss.studies.tables.files import update_document, write_table
from dsr_nss.studies.tables.runs import Run, Settings, State, inspect, plan
from dsr_nss.studies.tables.summary import Summary, summarise
from dsr_nss.studies.tables.table import Table, choose_rows
from dsr_nss.studies.tables.writing import markdown


def listing(tables: Sequence[Table], rows: Sequence[str] | None = None) -> Iterator[str]:
    """`table row command` of each row that is trained, repeated rows included."""
    for one, row in choose_rows(tables, rows):
        # options do not change the default work dir, unlike overlays
        own = ('--work-dir', f'work_dirs/{row.name}_{one.data}') if row.options else ()
        yield f'{one.name} {row.name} {typed(row.command("train", *own))}'


def train_lines(
    tables: Sequence[Table],
    rows: Sequence[str] | None,
    seeds: Sequence[int] | None,
    settings: Settings,
) -> Iterator[str]:
    """The command line of each training, done or not."""
    for run in plan(choose_rows(tables, rows), seeds, settings):
        run.config()  # a row that cannot be read is an error now
        if not run.row.folders:
            yield typed(run.train_command())


def reproduce(
    tables: Sequence[Table],
    settings: Settings,
    *,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int = 1,
    docs: Path | None = None,
    tools: Path = ROOT,
) -> int:
    """Train and test what is missing, then write every table.

    Tables are written anew after each run. They show all that lies in the folder, also rows and
    seeds that this call did not ask for.

    Args:
        tables: Any tables.
        settings: What all runs have in common.
        rows: Names or numbers of rows to train; None: all.
        seeds: One run of each row for each; see `plan`.
        jobs: Trainings side by side.
        docs: A document to put the tables into; see `update_document`.
        tools: Folder of `tools/` and `configs/`.

    Returns:
        An exit status: 0, 1 when a run failed, 130 when the user stopped it.

    Raises:
        ConfigError: Nonsense in the arguments, a set to be tested on that a config does not have,
            or no such document.
    """
    if docs is not None and not docs.is_file():
        raise ConfigError(f'document not found: {docs}')  # now, not after the trainings
    runs = plan(choose_rows(tables, rows), seeds, settings)
    states = [inspect(run) for run in runs]
    for run, state in zip(runs, states, strict=True):
        _require_test_sets(run, state)  # now, not after the training
    make_folder(settings.folder)
    todo = [run for run, state in zip(runs, states, strict=True) if not state.finished]
    trainings = sum(not state.trained for state in states)
    print(
        f'{len(runs)} runs: {len(runs) - len(todo)} done, {trainings} to train, '
        f'{len(todo) - trainings} to test'
    )

    def write(one: Table) -> Summary:
        summary = summarise(one, settings)
        write_table(summary, settings.folder / one.file_stem)
        return summary

    def after(run: Run, error: str | None) -> None:
        if error != STOPPED:
            tqdm.write(f'done: {run.name}' if error is None else f'FAILED: {run.name}: {error}')
        for one in tables:
            if error is None and run.row.name in [row.name for row in one.rows]:
                write(one)

    ended = execute(todo, jobs=jobs, tools=tools, finished=after)
    summaries = [write(one) for one in tables]
    for summary in summaries:
        print(f'\n{markdown(summary)}')
    print(f'tables: {settings.folder}/')
    if docs is not None:
        print(f'{docs}: {", ".join(update_document(docs, summaries))}')
    failed = {run: error for run, error in ended.items() if error not in (None, STOPPED)}
    if failed:
        print(f'\n{len(failed)} of {len(ended)} runs failed:')
        for run, error in failed.items():
            print(f'  {run.name}: {str(error).splitlines()[0]}')
    if STOPPED in ended.values():
        print('\nStopped. The same command goes on where it was.')
        return 130
    return 1 if failed else 0


def _require_test_sets(run: Run, state: State) -> None:
    known = list(run.config().get('test_sets') or {})
    unknown = sorted({c.test_set for c in state.missing if c.test_set not in known})
    if unknown:
        raise ConfigError(
            f'{run.row.config} has no test set {", ".join(unknown)}; '
            f'its test_sets are: {", ".join(known) or "none"}'
        )
