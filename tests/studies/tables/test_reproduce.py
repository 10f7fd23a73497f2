"""From the command line to the tables, with stand-ins for the two tools that do the work."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dsr_nss.errors import ConfigError
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.reproduce import listing, reproduce, train_lines
from dsr_nss.studies.tables.rows import DATA, NUMERALS, table, tables_on
from dsr_nss.studies.tables.runs import Settings, plan
from dsr_nss.studies.tables.summary import summarise
from dsr_nss.studies.tables.table import Column, choose_rows
from tests.command_lines import load_tool

ROWS = ['classmix_hrda', 'refinement_hrda', 'dsr_hrda']


def choose_tables(names, data):
    """Tables by name; None: those of the paper's six that have rows on this data."""
    papers = [name for name in tables_on(data) if name in NUMERALS]
    return [table(name, data) for name in names or papers]


@pytest.fixture
def tool_arguments(monkeypatch):
    """What `tools/train.py` reads from a command line."""
    tool = load_tool('train')

    def parse(command):
        python, path, *arguments = shlex.split(command)
        assert (python, path) == ('python', 'tools/train.py')
        monkeypatch.setattr(sys, 'argv', [path, *arguments])
        return tool.parse_args()

    return parse


def test_the_list_has_every_row_of_the_papers_tables():
    lines = [line.split(maxsplit=2) for line in listing(choose_tables(None, 'real'))]
    assert {line[0] for line in lines} == set('123456')
    shared = [line for line in lines if line[1] == 'dsr_hrda']
    assert [line[0] for line in shared] == list('123456')
    assert {line[2] for line in shared} == {'python tools/train.py configs/dsr_hrda_darkzurich.py'}
    rows = ['fpa_literal_hrda', 'alpha075_beta0100_hrda']
    assert list(listing(choose_tables(['5', 'choices'], 'nightscape'), rows)) == [
        '5 alpha075_beta0100_hrda python tools/train.py configs/demo/dsr_hrda_nightscape.py '
        '--work-dir work_dirs/alpha075_beta0100_hrda_nightscape '
        '--cfg-options model.alpha=0.75 model.beta=0.1',
        'choices fpa_literal_hrda python tools/train.py configs/demo/dsr_hrda_nightscape.py '
        '--with configs/ablations/fpa_literal.py',
    ]


@pytest.mark.parametrize('data', DATA)
def test_every_command_of_the_list_can_be_typed_and_trains_apart(data, tool_arguments):
    """The tool takes each, its files are there, and no two rows share a default work dir."""
    places = {}
    for line in listing(choose_tables(tables_on(data), data)):
        _, row, command = line.split(maxsplit=2)
        args = tool_arguments(command)
        assert all((ROOT / file).is_file() for file in [args.config, *args.overlays])
        stems = [Path(file).stem for file in [args.config, *args.overlays]]
        places[row] = args.work_dir or '-'.join(stems)
    assert len(set(places.values())) == len(places)


def test_one_training_line_a_run(tmp_path):
    settings = Settings('real', tmp_path)
    lines = list(train_lines(choose_tables(None, 'real'), None, (0, 1), settings))
    rows = {line.split()[1] for line in listing(choose_tables(None, 'real'))}
    assert len(lines) == len(set(lines)) == 2 * len(rows)
    assert all(line.startswith('python tools/train.py configs/') for line in lines)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def prepared(stubs, tmp_path):
    """Two tables, settings, and stand-ins that score 10, 12 and 15 with seed 0, one more each."""
    tables = choose_tables(['3', '4'], 'nightscape')
    settings = Settings('nightscape', tmp_path / 'out', max_iters=4)
    stems = [f'{row}_nightscape' for row in ROWS]
    scores = dict(zip(stems, (10.0, 12.0, 15.0), strict=True))
    stubs.behave(scores=scores)
    stubs.prepare(plan(choose_rows(tables, ROWS), (0, 1), settings))
    return stubs, tables, settings, scores


def run(stubs, tables, settings, **kwargs):
    return reproduce(tables, settings, rows=ROWS, seeds=(0, 1), tools=stubs.root, **kwargs)


def test_from_nothing_to_tables_and_again_without_a_change(prepared, capsys):
    stubs, tables, settings, _ = prepared
    assert run(stubs, tables, settings, jobs=2) == 0
    assert sum(line.startswith('train') for line in stubs.calls()) == 6  # 3 rows, 2 seeds
    content = json.loads((settings.folder / 'table3.json').read_text())
    rows = {r['row']: r['sets']['dark_zurich_val'] for r in content['rows']}
    assert rows['refinement_hrda']['mIoU'] == {'mean': 12.5, 'error': 0.5, 'count': 2}
    assert rows['refinement_hrda']['difference'] == {'mean': 2.0, 'error': 0.0, 'count': 2}
    assert rows['bank_hrda']['mIoU'] is None
    assert rows['dsr_hrda']['difference'] is None  # the row above has no run
    assert content['commits'] == ['c0ffee1234'] and content['iterations'] == [4]
    assert '| + FPA full | 15.5 ± 0.5 | - |\n' in capsys.readouterr().out

    (row, *_) = summarise(replace(tables[0], seeds=(1, 9)), settings)['rows']
    assert list(row['sets']['dark_zurich_val']['seeds']) == [1]

    files = sorted(p for p in settings.folder.glob('*') if p.is_file())
    assert [f.name for f in files] == [
        f'table{n}.{kind}' for n in (3, 4) for kind in ('csv', 'json', 'md', 'png', 'tex')
    ]
    before = [(f.stat().st_mtime_ns, f.read_bytes()) for f in files]
    assert run(stubs, tables, settings) == 0
    assert stubs.calls() == []
    assert [(f.stat().st_mtime_ns, f.read_bytes()) for f in files] == before


def test_seeds_of_earlier_calls_stay_in_the_table(prepared):
    stubs, tables, settings, _ = prepared
    run(stubs, tables, settings)
    assert reproduce(tables[:1], settings, rows=['1'], seeds=(0,), tools=stubs.root) == 0
    content = json.loads((settings.folder / 'table3.json').read_text())
    assert content['seeds'] == [0, 1]


def test_a_failure_is_reported_and_the_exit_status_says_so(prepared, capsys):
    stubs, tables, settings, scores = prepared
    stubs.behave(scores=scores, fail=['refinement_hrda_nightscape'])
    assert run(stubs, tables, settings) == 1
    out = capsys.readouterr().out
    assert 'FAILED: refinement_hrda_nightscape-seed0: status 1 of: python tools/train.py' in out
    assert 'error: no memory left' in out and '2 of 6 runs failed' in out
    content = json.loads((settings.folder / 'table3.json').read_text())
    measured = [r['row'] for r in content['rows'] if r['sets']['dark_zurich_val']['mIoU']]
    assert measured == ['classmix_hrda', 'dsr_hrda']


def test_a_set_that_no_config_has_is_noticed_before_the_training(prepared):
    stubs, tables, settings, _ = prepared
    misspelt = replace(tables[0], columns=(Column('dark_zurich_vla'),))
    known = 'dsr_hrda_nightscape.py has no test set dark_zurich_vla; its test_sets are: .*_val'
    with pytest.raises(ConfigError, match=known):
        run(stubs, [misspelt], settings)
    assert stubs.calls() == [] and not settings.folder.exists()


def test_the_document_is_filled(prepared, tmp_path):
    stubs, tables, settings, _ = prepared
    document = tmp_path / 'results.md'
    place = 'table3 nightscape 4iters'
    document.write_text(f'<!-- {place} begin -->\n<!-- {place} end -->\n')
    assert run(stubs, tables, settings, docs=document) == 0
    assert (settings.folder / 'table3.md').read_text() in document.read_text()


@pytest.fixture(scope='module')
def tool():
    """The module `tools/reproduce.py`."""
    return load_tool('reproduce')


@pytest.mark.parametrize(
    ('arguments', 'status', 'expected'),
    [
        (['--list', '--table', '4'], 0, '4 dsr_hrda python tools/train.py configs/dsr_hrda_dark'),
        (
            ['--dry-run', '--table', '3', '--rows', '1', '--seeds', '5'],
            0,
            'python tools/train.py configs/dsr_hrda_darkzurich.py --work-dir '
            'work_dirs/reproduce/runs/classmix_hrda_real-seed5 --seed 5 '
            '--with configs/ablations/classmix.py\n',
        ),
        (['--data', 'camvid', '--table', '5'], 2, 'error: table 5 has no rows on camvid'),
        (['--table', '3', '--rows', 'dsr'], 2, 'error: there is no row dsr; the rows are class'),
        (['--dry-run', '--max-iters', '1'], 2, 'error: --max-iters must be >= 2, got 1'),
        (['--jobs', '0'], 2, '--jobs must be >= 1, got 0'),
    ],
)
def test_command_line(tool, monkeypatch, tmp_path, capsys, arguments, status, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['tools/reproduce.py', *arguments])
    try:
        assert tool.main() == status
    except SystemExit as error:  # of argparse
        assert error.code == status
    out, err = capsys.readouterr()
    assert expected in out + err
    assert not list(tmp_path.iterdir())
