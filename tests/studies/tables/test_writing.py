"""The four formats of a small table that was computed by hand."""

import csv
import io
import json
from pathlib import Path

import pytest
from matplotlib.collections import PathCollection

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables import files, writing
from dsr_nss.studies.tables.logged import logged_figure, logged_values
from dsr_nss.studies.tables.picture import SEEDS_BELOW, table_figure
from dsr_nss.studies.tables.rows import table
from dsr_nss.studies.tables.runs import Settings
from dsr_nss.studies.tables.summary import Summary, cell, summarise
from dsr_nss.studies.tables.table import Column


def scores(value, **others):
    further = {'mIoU_official': value - 1, 'mIoU_my_group': value + 1, 'mIoU_small': None}
    return {'mIoU': value, **further, 'images': 3} | others


def row(name, label, measured, paper=None, group=''):
    paper = {'paper': {'set': 'Dark Zurich test', 'mIoU': paper}} if paper else {}
    return {
        'row': name, 'label': label, 'group': group, 'paper_row': None,
        'sets': {'dark_zurich_val': measured | paper}, 'logged': {},
    }  # fmt: skip


@pytest.fixture
def summary() -> Summary:
    """Two trained rows with two seeds, a third with one, and another work's row between them."""
    first = {0: scores(10.0), 1: scores(20.0)}
    second = {0: scores(13.0, mIoU_my_group=16.0), 1: scores(24.0, mIoU_my_group=18.0)}
    third = {1: scores(23.25)}
    return {
        'table': '3', 'title': 'Table III on the real sets: components & parts',
        'place': 'table3 real', 'seeds': [0, 1], 'iterations': [40000],
        'networks': ['student, last checkpoint'],
        'commits': ['c0ffee1234+changes'], 'machines': ['2 cores of X'],
        'command': 'python tools/reproduce.py --table 3 --data real --seeds 0 1',
        'differences_from': 'the row above', 'by_class': False, 'logged': (),
        'notes': ('Read this.',),
        'columns': (Column('dark_zurich_val', paper_set='Dark Zurich test'),),
        'rows': [
            row('classmix_hrda', 'baseline', cell(first, {}), 55.9),
            row(None, 'GCMA_1', cell({}, {}), 42.0, 'others'),
            row('bank_hrda', '+ bank', cell(second, first)),
            row('dsr_hrda', '100 % {all}', cell(third, second)),
        ],
    }  # fmt: skip


def test_markdown(summary):
    assert writing.markdown(summary) == '\n'.join([
        '### Table III on the real sets: components & parts',
        '',
        '|  | seeds | mIoU, dark_zurich_val | difference | paper, Dark Zurich test |',
        '| --- | ---: | ---: | ---: | ---: |',
        '| baseline | 0, 1 | 15.0 ± 5.0 | - | 55.9 |',
        '| GCMA_1 | - | - | - | 42.0 |',
        '| + bank | 0, 1 | 18.5 ± 5.5 | +3.5 ± 0.5 | - |',
        '| 100 % {all} | 1 | 23.2 | -0.8 | - |',
        '',
        'Means over the classes of a group, dark_zurich_val:',
        '',
        '|  | my group | difference |',
        '| --- | ---: | ---: |',
        '| baseline | 16.0 ± 5.0 | - |',
        '| + bank | 17.0 ± 1.0 | +1.0 ± 4.0 |',
        '| 100 % {all} | 24.2 | +6.2 |',
        '',
        'Percent mIoU on dark_zurich_val, seeds 0, 1; some cells have fewer, and a difference '
        'those that both rows have, 40,000 iterations; student, last checkpoint. Mean ± standard '
        'error; differences from the row above are paired by seed, bold beyond two standard errors '
        'of three seeds or more. Trained on 2 cores of X; commit c0ffee1 with changes.',
        '',
        '- Read this.',
        '',
        '    python tools/reproduce.py --table 3 --data real --seeds 0 1',
        '',
    ])  # fmt: skip


@pytest.mark.parametrize('seeds', [(0, 1), (0,)])
def test_a_mean_of_fewer_seeds_than_its_row_is_told(summary, seeds):
    measured = {
        seed: scores(10.0) | ({'precision/my_group': 50.0} if seed in seeds else {})
        for seed in (0, 1)
    }
    summary['rows'] = [row('classmix_hrda', 'baseline', cell(measured, {}))]
    assert ('some cells have fewer' in writing.markdown(summary)) == (len(seeds) < 2)


def test_differences_over_other_images(summary):
    """Bold where 0 is outside; rows without any have no line."""
    measured = summary['rows'][2]['sets']['dark_zurich_val']
    measured['over_images'] = {'mIoU': (1.04, 5.96), 'mIoU_my_group': (-0.5, 2.0)}
    text = writing.markdown(summary)
    begin = text.index('Differences over other test images, dark_zurich_val: ')
    assert text[begin:].split('\n\n')[1] == '\n'.join([
        '|  | mIoU | my group | small |',
        '| --- | ---: | ---: | ---: |',
        '| + bank | **+1.0 to +6.0** | -0.5 to +2.0 | - |',
    ])  # fmt: skip


def test_a_set_that_had_other_images_is_named(summary):
    assert 'images:' not in writing.markdown(summary)
    summary['rows'][3]['sets']['dark_zurich_val'] = cell({1: scores(23.25, images=5)}, {})
    assert ' dark_zurich_val had 3 or 5 images: some scores are of' in writing.markdown(summary)


def test_latex_escapes_and_sets_numbers_as_such(summary):
    text = writing.latex(summary)
    assert '\\caption{Table III on the real sets: components \\& parts}' in text
    assert 'GCMA\\_1 & - & - & - & $42.0$ & - & -' in text
    assert (
        '+ bank & 0, 1 & $18.5 \\pm 5.5$ & $+3.5 \\pm 0.5$ & - & $17.0 \\pm 1.0$ & $+1.0 \\pm 4.0$'
        in text
    )
    assert '100 \\% \\{all\\} & $1$ & $23.2$ & $-0.8$' in text
    assert text.count('{') == text.count('}') and text.count('\\midrule') == 3
    body = [line for line in text.splitlines() if line.endswith('\\\\')]
    assert {line.count(' & ') for line in body} == {6}
    assert '\\begin{tabular}{lrrrrrr}' in text


def test_latex_tells_rows_of_one_label_apart(summary):
    for one in summary['rows']:
        one['label'] = 'B'
    text = writing.latex(summary)
    assert 'B & - & - & - & $42.0$ & - & -' in text and '& $24.2$ & $+6.2$' in text
    assert '% Groups: dark_zurich_val.' in text


def test_columns_of_other_seeds_are_told(summary):
    row = summary['rows'][2]['sets']
    summary['columns'] += (Column('acdc_night_val'),)
    for each in summary['rows']:
        each['sets']['acdc_night_val'] = cell({}, {})
    row['acdc_night_val'] = cell({0: scores(7.0)}, {})
    text = writing.markdown(summary)
    assert '| + bank | 0, 1, not in each column | 18.5' in text and 'cells have fewer' in text


def test_csv_has_unrounded_numbers_and_every_seed(summary):
    lines = list(csv.DictReader(io.StringIO(writing.csv_text(summary))))
    assert [line['row'] for line in lines] == ['classmix_hrda', '', 'bank_hrda', 'dsr_hrda']
    third = lines[2]
    assert third['dark_zurich_val mIoU'] == '18.5'
    assert third['dark_zurich_val difference'] == '3.5'
    assert third['dark_zurich_val mIoU seed 1'] == '24.0'
    assert third['paper Dark Zurich test'] == '' and lines[0]['paper Dark Zurich test'] == '55.9'
    assert third['dark_zurich_val mIoU_my_group difference'] == '1.0'
    assert lines[3]['dark_zurich_val mIoU seed 0'] == ''
    assert lines[3]['dark_zurich_val standard error'] == ''


def test_json_holds_everything(summary):
    content = json.loads(writing.json_text(summary))
    assert content['seeds'] == [0, 1] and content['commits'] == ['c0ffee1234+changes']
    rows = {row['row']: row['sets']['dark_zurich_val'] for row in content['rows']}
    assert rows['bank_hrda']['difference'] == {'mean': 3.5, 'error': 0.5, 'count': 2}
    assert rows['bank_hrda']['differences'] == {
        'mIoU_my_group': {'mean': 1.0, 'error': pytest.approx(4.0), 'count': 2},
        'mIoU_small': None,
    }
    assert rows['bank_hrda']['seeds']['1']['mIoU_official'] == 23.0
    assert rows['classmix_hrda']['paper'] == {'set': 'Dark Zurich test', 'mIoU': 55.9}
    assert 'paper' not in rows['bank_hrda']


def test_files_are_written_once(summary, tmp_path):
    files.write_table(summary, tmp_path / 'a.table')
    written = sorted(tmp_path.iterdir())
    assert [f.suffix for f in written] == [f'.{e}' for e in ('csv', 'json', 'md', 'png', 'tex')]
    before = [file.stat().st_mtime_ns for file in written]
    files.write_table(summary, tmp_path / 'a.table')
    assert [file.stat().st_mtime_ns for file in written] == before


def test_nothing_measured_on_the_real_data_prints_the_papers_numbers(tmp_path):
    text = writing.markdown(summarise(table('1', 'real'), Settings('real', tmp_path)))
    assert 'Nothing measured yet.' in text
    assert '| GCMA | - | - | 42.0 |' in text
    assert '| DSR-NSS-HRDA | - | - | 65.2 |' in text
    paper_classes = text.split('as the paper prints it (Dark Zurich test):')[1]
    assert '| DSR-NSS-HRDA | 95.2 | 75.1 | 85.0 | 52.0 | 36.2 | 60.9 | 56.9 | 63.5 |' in (
        paper_classes
    )


def test_table_six_warns(tmp_path):
    text = writing.markdown(summarise(table('6', 'real'), Settings('real', tmp_path)))
    assert (
        'GTA-to-Cityscapes' in text
        and '| HRDA, own self-training (ClassMix) | - | - | 73.8 |' in text
    )


NIGHT = 'dark_zurich_val'


def test_small_sets_never_show_the_papers_numbers(tmp_path):
    for name in ('1', '2', '3', '6'):
        summary = summarise(table(name, 'nightscape'), Settings('nightscape', tmp_path))
        text = writing.markdown(summary) + writing.latex(summary)
        assert 'paper' not in text.replace('as the paper', '')
        header, *rows = csv.reader(writing.csv_text(summary).splitlines())
        papers = [i for i, name in enumerate(header) if name.startswith('paper')]
        assert papers and not any(row[i] for row in rows for i in papers)
        assert 'paper' not in summary['rows'][0]['sets']['cityscapes_val' if name == '6' else NIGHT]


def test_a_document_gets_its_tables_and_keeps_the_rest(summary, tmp_path):
    document = tmp_path / 'results.md'
    document.write_text(
        'before\n<!-- table3 real begin -->\nold\n<!-- table3 real end -->\nafter\n'
        '<!-- table4 real begin -->\nother\n<!-- table4 real end -->\n'
    )
    for _ in range(2):
        assert files.update_document(document, [summary]) == ['table3 real']
        assert document.read_text() == (
            f'before\n<!-- table3 real begin -->\n\n{writing.markdown(summary)}\n'
            '<!-- table3 real end -->\nafter\n'
            '<!-- table4 real begin -->\nother\n<!-- table4 real end -->\n'
        )


def test_a_page_that_discusses_a_table_shows_its_means_alone(summary, tmp_path):
    document = tmp_path / 'results.md'
    document.write_text('<!-- table3 real main begin -->\n<!-- table3 real main end -->\n')
    assert files.update_document(document, [summary]) == ['table3 real main']
    first, *rest = writing.main_markdown(summary).rstrip('\n').split('\n\n')
    whole = writing.markdown(summary).rstrip('\n').split('\n\n')
    assert whole[1] == first and whole[2:4] == rest[:2]  # means, and those of groups
    assert len(rest) == 4 and rest[2].startswith('Percent mIoU on dark_zurich_val, seed')
    assert set(rest) <= set(whole) and whole[-1] == rest[-1]
    assert document.read_text() == (
        f'<!-- table3 real main begin -->\n\n{writing.main_markdown(summary)}\n'
        '<!-- table3 real main end -->\n'
    )


def test_the_line_ends_of_a_document_stay(summary, tmp_path):
    document = tmp_path / 'results.md'
    begin, end = (f'<!-- table3 real {edge} -->' for edge in ('begin', 'end'))
    document.write_bytes(f'before\r\n{begin}\r\n{end}\r\nafter\r\n'.encode())
    for _ in range(2):
        files.update_document(document, [summary])
        text = document.read_bytes().decode()
        assert text.count('\n') == text.count('\r\n') and text.endswith(f'{end}\r\nafter\r\n')
        assert writing.markdown(summary) in text.replace('\r', '')


def test_a_document_without_a_place_is_an_error(summary, tmp_path):
    document = tmp_path / 'results.md'
    with pytest.raises(ConfigError, match='document not found'):
        files.update_document(document, [summary])
    document.write_text('nothing')
    with pytest.raises(ConfigError, match='no place for these tables; .*<!-- table3 real begin'):
        files.update_document(document, [summary])


def test_places_of_other_settings_have_other_names():
    summary = summarise(table('3', 'nightscape'), Settings('nightscape', Path('x'), 100, 'bf16'))
    assert summary['place'] == 'table3 nightscape 100iters-bf16'
    assert '--max-iters 100 --amp bf16' in summary['command']


def test_statistics_of_batch_norms_stand_beside_the_mean(tmp_path):
    one = table('3', 'nightscape').with_batch_norms(['plain', 'adabn', 'precise'])
    summary = summarise(one, Settings('nightscape', tmp_path))
    head = '|  | as trained | difference | AdaBN | difference | PreciseBN | difference |'
    assert head in writing.markdown(summary)
    text = writing.markdown(summary | {'seeds': [0]})
    assert 'Percent mIoU on nightscape dark_zurich_val, seed 0, ' in text
    assert ' AdaBN, PreciseBN: statistics' in text
    assert '--batch-norms plain adabn precise' in summary['command']
    assert 'dark_zurich_val-adabn mIoU,' in writing.csv_text(summary)


def test_the_picture_has_a_mark_for_each_number(summary):
    axes = table_figure(summary).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        'baseline', 'GCMA_1', '+ bank', '100 % {all}',
    ]  # fmt: skip
    dots = [c for c in axes.collections if isinstance(c, PathCollection)]
    points = [tuple(p) for c in dots for p in c.get_offsets().tolist()]
    below = SEEDS_BELOW
    assert set(points) == {
        (10, below), (20, below), (13, 2 + below), (24, 2 + below), (23.25, 3 + below),
        (55.9, 0), (42, 1),
    }  # fmt: skip
    (bars,) = axes.containers
    assert bars.lines[0].get_xydata().tolist() == [[15.0, 0], [18.5, 2], [23.25, 3]]


def test_what_the_trainings_logged(summary, tmp_path):
    for seed, values in enumerate([(1.0, 3.0), (5.0, 7.0)]):
        folder = tmp_path / str(seed) / 'start' / 'vis_data'
        folder.mkdir(parents=True)
        lines = [
            json.dumps({'step': 10 * (i + 1), 'right': value, 'lr': 1.0})
            for i, value in enumerate(values)
        ]
        (folder / 'scalars.json').write_text('\n'.join(lines))
    with (folder / 'scalars.json').open('a') as file:
        file.write('\n{"step": 30, "right": NaN, "endless": Infinity}')
    logged = logged_values([tmp_path / '0', tmp_path / '1'], ['right', 'absent', 'endless'])
    assert logged['right']['steps'] == {10: 3.0, 20: 5.0} and list(logged) == ['right']
    means = logged['right']['mean']  # of 2 and 6
    assert (means.mean, means.error, means.count) == (4, pytest.approx(2), 2)
    summary['logged'], summary['rows'][0]['logged'] = ('right', 'absent'), logged
    text = writing.markdown(summary)
    assert '|  | right | absent |\n| --- | ---: | ---: |\n| baseline | 4.00 ± 2.00 | - |' in text
    axes = logged_figure(summary['rows'], summary['logged'], 'title').axes
    assert [line.get_xydata().tolist() for line in axes[0].lines] == [[[10, 3.0], [20, 5.0]]]
    assert not axes[1].lines
    files.write_table(summary, tmp_path / 'a')
    assert (tmp_path / 'a_logged.png').is_file()


def test_a_measurement_that_lines_show_again_counts_once(tmp_path):
    folder = tmp_path / 'start' / 'vis_data'
    folder.mkdir(parents=True)
    values = [1.0, 1.0, 4.0, 4.0, 4.0, 7.0]
    lines = [
        json.dumps(
            {'step': 20 * (i + 1), 'pseudo_accuracy': value, 'pseudo_accuracy_small': 0.0}
            | {'loss': value}
        )
        for i, value in enumerate(values)
    ]
    (folder / 'scalars.json').write_text('\n'.join(['{"step": 10, "loss": 3.5}', *lines]))
    logged = logged_values([tmp_path], ['pseudo_accuracy', 'pseudo_accuracy_small', 'loss'])
    assert logged['pseudo_accuracy']['mean'].mean == 4.0
    assert logged['pseudo_accuracy']['steps'] == {20: 1.0, 60: 4.0, 120: 7.0}
    # that a value is the same again does not make it the same measurement
    assert logged['pseudo_accuracy_small']['steps'] == {20: 0.0, 60: 0.0, 120: 0.0}
    assert logged['loss']['mean'].mean == 3.5 and len(logged['loss']['steps']) == 7


def test_more_rows_than_colours_are_told_apart():
    values = {'right': {'steps': {10: 3.0, 20: 5.0}}}
    rows = [{'label': f'row {i}', 'logged': values} for i in range(9)]
    lines = logged_figure(rows, ['right'], 'title').axes[0].lines
    assert lines[8].get_color() == lines[0].get_color()
    assert [line.get_linestyle() for line in lines] == ['-'] * 8 + ['--']


def test_only_logged_values_make_a_second_picture(summary, tmp_path):
    assert 'Logged by' not in writing.markdown(summary)
    files.write_table(summary, tmp_path / 'a')
    assert not (tmp_path / 'a_logged.png').exists()


def test_recall_of_small_objects_has_its_own_table(summary):
    assert 'Recall' not in writing.markdown(summary)
    first = {0: scores(10.0, **{'recall_small/tiny': 10.0}), 1: scores(20.0)}
    second = {
        0: scores(13.0, **{'recall_small/tiny': 12.5}),
        1: scores(24.0, **{'recall_small/tiny': 20.0}),
    }
    summary['rows'][0]['sets'][NIGHT] = cell(first, {})
    summary['rows'][2]['sets'][NIGHT] = cell(second, first)
    text = writing.markdown(summary)
    assert (
        'Recall of objects of small classes by size, dark_zurich_val:\n\n'
        '|  | tiny | difference |\n| --- | ---: | ---: |\n| baseline | 10.0 | - |\n'
        '| + bank | 16.2 ± 3.8 | +2.5 |\n| 100 % {all} | - | - |\n'
    ) in text
    lines = list(csv.DictReader(io.StringIO(writing.csv_text(summary))))
    assert lines[2]['dark_zurich_val recall_small/tiny difference'] == '2.5'


def test_precision_and_recall_of_groups_have_their_own_table(summary):
    assert 'Precision' not in writing.markdown(summary)
    rates = {'precision/large_static': 40.0, 'recall/large_static': 70.0}
    summary['rows'][0]['sets'][NIGHT] = cell({0: scores(10.0, **rates)}, {})
    text = writing.markdown(summary)
    begin = text.index('Precision (')
    assert text[begin:].split('\n\n')[1] == '\n'.join([
        '|  | large static: precision | difference | large static: recall | difference |',
        '| --- | ---: | ---: | ---: | ---: |',
        '| baseline | 40.0 | - | 70.0 | - |',
        '| + bank | - | - | - | - |',
        '| 100 % {all} | - | - | - | - |',
    ])  # fmt: skip
