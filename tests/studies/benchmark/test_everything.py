"""All benchmarks in a row: what is planned, what a part that fails does to the others."""

import os
import time

import pytest
from mmseg.registry import DATASETS

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark import everything
from dsr_nss.studies.benchmark.everything import (
    STEPS,
    Outcome,
    Part,
    draw_missing,
    missing_data,
    plan,
    run_parts,
    summary,
)
from dsr_nss.studies.benchmark.timing import summarise
from tests.command_lines import load_tool

#: A stand-in for tools/benchmark.py that does what its first argument says.
PROGRAM = """
import json, os, subprocess, sys, time
verb, arguments = sys.argv[1], sys.argv[2:]
print(verb, 'was asked', *arguments, flush=True)
if verb == 'explained':
    sys.exit(print('error: no such thing', file=sys.stderr) or 2)
if verb == 'memory':
    sys.exit(3)
if verb == 'broken':
    raise RuntimeError('the device is lost')
if verb == 'slow':
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    open(arguments[0], 'w').write(str(child.pid))
    time.sleep(60)
path = arguments[arguments.index('--json') + 1]
step = dict(median_s=0.25, repeats=3, peak_memory=2**30, share_of_peak=0.5)
json.dump({'verb': verb, 'arguments': arguments, 'steps': {'a.py': step}}, open(path, 'w'))
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / 'program.py'
    path.write_text(PROGRAM)
    return path


def test_failures_are_reported_and_the_rest_goes_on(program, capfd):
    parts = [
        Part('one', ('explained',), 1),
        Part('two', ('memory',), 1),
        Part('three', ('broken',), 1),
        Part('four', ('good',), 1, skip='no folder data/here'),
        Part('five', ('good',), 1),
    ]
    outcomes = run_parts(parts, program, seconds=120)
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        'one': 'failed', 'two': 'failed', 'three': 'failed', 'four': 'skipped', 'five': 'done',
    }  # fmt: skip
    assert outcomes['one'].reason == 'error: no such thing'
    assert outcomes['two'].reason == 'out of memory'
    assert outcomes['three'].reason == 'RuntimeError: the device is lost'
    text = capfd.readouterr().out
    assert 'explained was asked' in text and 'Traceback' in text
    assert 'four: skipped, no folder data/here' in text
    assert outcomes['five'].report['verb'] == 'good'


def test_a_part_that_takes_too_long_ends_with_its_children(program, tmp_path, capfd):
    child = tmp_path / 'pid'
    parts = [Part('slow', ('slow', str(child)), 1), Part('next', ('good',), 9)]
    start = time.perf_counter()
    outcomes = run_parts(parts, program, seconds=40)
    assert time.perf_counter() - start < 30
    assert outcomes['slow'].status == 'failed' and '4 s were over' in outcomes['slow'].reason
    assert outcomes['next'].status == 'done'
    assert 'slow was asked' in capfd.readouterr().out
    for _ in range(100):
        if not _runs(int(child.read_text())):
            return
        time.sleep(0.05)
    pytest.fail('the child still runs')


def _runs(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


def test_what_a_part_is_told(program, tmp_path):
    options = ('--cfg-options', 'a=1', 'b=2')
    parts = [
        Part(STEPS[1], ('step', 'c.py', *options), 1),
        Part('data', ('data', 'c.py', *options), 3),
        Part('other', ('align', 'c.py', *options), 3),
    ]
    first, second, third = run_parts(parts, program, seconds=70, out=tmp_path).values()
    arguments = first.report['arguments']
    assert ' '.join(options) in ' '.join(arguments)
    assert arguments[arguments.index('--out') + 1] == str(tmp_path / 'step_bf16')
    assert float(arguments[arguments.index('--limit') + 1]) == pytest.approx(5, abs=0.2)
    arguments = second.report['arguments']
    assert arguments[arguments.index('--step-time') + 1] == '0.2500'
    assert '--out' not in arguments
    # what the first part left of its time is shared by the others
    assert float(arguments[arguments.index('--limit') + 1]) > 15.1
    assert '--step-time' not in third.report['arguments']


def test_summary():
    def outcome(seconds):
        step = {**summarise([seconds] * 7), 'peak_memory': 3 * 2**30, 'share_of_peak': 0.25}
        return Outcome('done', 1.0, report={'steps': {'a.py': step}})

    outcomes = {
        STEPS[0]: outcome(1.8),
        STEPS[1]: outcome(0.9),
        STEPS[2]: Outcome('failed', 9.0, 'out of memory'),
        'data': Outcome('skipped', reason='no folder x'),
    }
    lines = summary(outcomes).splitlines()
    assert lines[2].split()[-6:] == ['1.8)', '1.00', '7', '20.00', '3.00', '25.0']
    assert lines[3].split()[-6:] == ['900)', '2.00', '7', '10.00', '3.00', '25.0']
    assert 'failed: step, bf16 and compiled: out of memory' in lines
    assert 'skipped: data: no folder x' in lines


def test_summary_of_the_loader():
    loader = {**summarise([0.05, 0.05, 0.2]), 'workers': 4}  # mean 0.1 s, 4000 s for 40,000
    report = {'items': {'files': {'loader': loader}}}
    line = summary({'data': Outcome('done', 1.0, report=report)}).splitlines()[-2]
    assert line.split() == 'loader by itself, mean, files 100 ms (50 to 200) 3 1.11 4'.split()


@pytest.mark.parametrize('toy', [False, True])
def test_every_command_of_the_plan_is_one_of_the_tool(repo_root, monkeypatch, tmp_path, toy):
    """The tool's own parser takes them, and their configs can be read."""
    monkeypatch.chdir(tmp_path)  # where there are no data sets
    config = read_config(repo_root / 'configs/dsr_hrda_darkzurich.py')
    options = {'model.alpha': 2.0}
    parts = {p.name: p for p in plan(config, options=options, device='cpu', toy=toy)}
    module = load_tool('benchmark')
    for part in parts.values():
        # options may follow the config options, which end where they begin
        monkeypatch.setattr('sys.argv', ['benchmark.py', *part.arguments, '--limit', '3'])
        args = module.parse_args()
        assert args.verb == part.arguments[0] and args.device == 'cpu' and args.limit == 3
        if args.verb == 'device':
            continue
        read = read_config(args.config, args.cfg_options)
        assert read.model.alpha == 2.0
        crop = 128 if toy else 1024
        assert tuple(read.train_dataloader.dataset.crop_size) == (crop, crop)
        assert tuple(read.model.bank.size) == (crop, crop)
        assert bool(read.get('compile')) == (part.name == STEPS[2])
    assert [name for name, part in parts.items() if part.skip] == ['data']
    assert 'data/cityscapes and data/dark_zurich' in parts['data'].skip
    os.makedirs('data/cityscapes')
    again = {p.name: p for p in plan(config, toy=toy)}
    assert again['data'].skip == 'no folder data/dark_zurich'


def test_missing_data_are_drawn(repo_root, monkeypatch, tmp_path):
    """Every data set that a config trains on can be built from the drawn ones."""
    monkeypatch.chdir(tmp_path)  # where there are no data sets
    for name in ('dsr_hrda_darkzurich', 'dsr_daformer_acdc'):
        path = repo_root / f'configs/{name}.py'
        config = read_config(path)
        assert set(missing_data(config)) == {'source', 'target'}
        options = draw_missing(config, tmp_path / 'drawn', '32x64')
        config = read_config(path, {**options, 'train_dataloader.dataset.crop_size': (32, 32)})
        assert not missing_data(config)
        for kind in ('source', 'target'):
            assert len(DATASETS.build(config.train_dataloader.dataset[kind])) > 0
        parts = {part.name: part for part in plan(read_config(path), drawn=options)}
        assert parts['data'].skip is None
        given = [a for a in parts['data'].arguments if a.startswith('train_dataloader')]
        assert given[0] == f'train_dataloader.dataset.source.data_root={tmp_path}/drawn/cityscapes'
        assert not any('drawn' in a for name in STEPS for a in parts[name].arguments)
        # it is the same set for all configs, and drawing it takes long
        monkeypatch.setattr(everything, 'generate', lambda *_, **__: None)


def test_only_known_layouts_are_drawn(repo_root, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = read_config(repo_root / 'configs/camvid/dsr_camviddusk.py')
    assert missing_data(config) and draw_missing(config, tmp_path / 'drawn', '32x64') is None
    (tmp_path / 'data/camvid_dusk').mkdir(parents=True)
    assert not missing_data(config) and not draw_missing(config, tmp_path / 'drawn', '32x64')
    assert not (tmp_path / 'drawn').exists()


def test_a_config_without_a_bank_rehearses_without_its_growth(repo_root):
    for name, has_bank in (('dsr_hrda_nightscape', True), ('source_only_hrda_nightscape', False)):
        parts = plan(read_config(repo_root / f'configs/demo/{name}.py'), toy=True)
        (growth,) = [part for part in parts if part.name == 'growth']
        assert ('--banks' in growth.arguments) == has_bank


def test_a_config_of_another_kind_is_refused(repo_root):
    with pytest.raises(ConfigError, match='not the config of an adaptation'):
        plan(read_config(repo_root / 'configs/align/uawarpc_nightscape.py'), toy=True)


def test_a_config_without_an_aligner(repo_root):
    config = read_config(
        repo_root / 'configs/demo/dsr_hrda_nightscape.py',
        overlays=[repo_root / 'configs/ablations/classmix.py'],
    )
    (align,) = (part for part in plan(config) if part.name == 'align')
    assert 'no model.refinement.aligner' in align.skip
