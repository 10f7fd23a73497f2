"""Every row is the config that its name says, and rows of a table differ in what it compares."""

import pytest

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.rows import DATA, NUMERALS, paper_tables, table, tables_on
from dsr_nss.studies.tables.runs import Run, Settings
from dsr_nss.studies.tables.table import choose_rows

ALL = [(name, data) for data in DATA for name in tables_on(data)]


@pytest.fixture(scope='module')
def read():
    """Reads the config of each row once."""
    return lambda row: Run(row, 0, Settings('any')).config()


@pytest.mark.parametrize(('name', 'data'), ALL)
def test_the_config_of_each_row_tests_on_the_columns(read, name, data):
    one = table(name, data)
    assert one.runnable()
    for row in one.runnable():
        test_sets = read(row).test_sets
        assert all(column.test_set in test_sets for column in one.columns), row.config


@pytest.mark.parametrize(('name', 'data'), ALL)
def test_rows_have_different_names_and_differences(name, data):
    rows = table(name, data).runnable()
    names = {row.name for row in rows}
    trained = {(row.config, row.overlays, row.options) for row in rows}
    assert len(names) == len(trained) == len(rows)


@pytest.mark.parametrize('name', NUMERALS)
def test_every_number_of_the_paper_has_a_row_on_the_real_data_and_only_there(name):
    printed = paper_tables()[name]
    one = table(name, 'real')
    assert sorted(row.paper for row in one.rows if row.paper) == sorted(printed)
    for column in one.columns:
        assert all({column.test_set, 'mIoU'} & row.keys() for row in printed.values())
    others = [row for row in one.rows if row.config is None]
    assert all(row.paper for row in others)
    for data in ('nightscape', 'camvid'):
        if name in tables_on(data):
            assert table(name, data).rows == table(name, data).runnable()


def test_the_tables_have_the_papers_rows_and_ours():
    sizes = {name: len(table(name, 'real').runnable()) for name in NUMERALS}
    assert sizes == {'1': 13, '2': 17, '3': 6, '4': 5, '5': 12, '6': 10}
    assert [row.name for row in table('3', 'camvid').rows] == [
        'classmix_hrda', 'composite_mask_hrda', 'bank_hrda', 'dsr_hrda',
    ]  # fmt: skip


def test_foundation_encoders_get_one_part_after_the_other(read):
    rows = table('vfm', 'real').rows
    assert len(rows) == 5 * 6 and 'vfm' not in {*tables_on('nightscape'), *tables_on('camvid')}
    for start in range(0, len(rows), 5):
        lower, *adapted = (read(row) for row in rows[start : start + 5])
        assert (
            lower.model.type == 'SourceOnly'
            and len({r.group for r in rows[start : start + 5]}) == 1
        )
        parts = [
            (bool(m.masking), bool(m.refinement), bool(m.bank), bool(m.alignment))
            for m in (config.model for config in adapted)
        ]
        every, none = (True,) * 4, (False,) * 4
        assert parts == [none, (True, *none[1:]), (True, True, False, False), every]
        assert [bool(c.model.mixup.always_classes) for c in adapted] == [False, False, False, True]
        for config in adapted:
            assert config.model.student == lower.model.student
            for key in ('optim_wrapper', 'param_scheduler', 'train_cfg'):
                assert config[key] == lower[key]
            assert config.train_dataloader == adapted[0].train_dataloader


@pytest.mark.parametrize('data', ['real', 'nightscape'])
def test_table_three_adds_one_part_after_the_other(read, data):
    parts = [
        (
            bool(model.mixup.always_classes),
            bool(model.refinement),
            bool(model.bank),
            model.alignment and model.alignment.get('reweight', 'ratio'),
        )
        for model in (read(row).model for row in table('3', data).rows)
    ]
    assert parts == [
        (False, False, False, None),
        (False, True, False, None),
        (True, True, False, None),
        (True, True, True, None),
        (True, True, True, 'none'),
        (True, True, True, 'ratio'),
    ]


@pytest.mark.parametrize('data', ['real', 'nightscape'])
def test_table_four_mixes_other_classes(read, data):
    small = {'pole', 'traffic light', 'traffic sign'}
    dynamic = {'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'}
    models = [read(row).model for row in table('4', data).rows]
    assert [set(m.mixup.always_classes) for m in models] == [
        set(), set(), small, dynamic, small | dynamic,
    ]  # fmt: skip
    assert [m.mixup.get('random_half', True) for m in models] == [False, True, True, True, True]
    assert [m.bank is not None for m in models] == [False, True, True, True, True]
    assert all(m.alignment and m.refinement for m in models)


@pytest.mark.parametrize('data', ['real', 'nightscape'])
def test_table_five_is_the_grid_that_its_labels_say(read, data):
    rows = table('5', data).rows
    weights = [(read(r).model.alpha, read(r).model.beta) for r in rows]
    assert [f'alpha {alpha}, beta {beta}' for alpha, beta in weights] == [r.label for r in rows]
    assert sorted(weights) == [(a, b) for a in (0.75, 1.0, 1.25, 1.5) for b in (0.075, 0.1, 0.125)]


@pytest.mark.parametrize('data', ['real', 'nightscape'])
def test_the_choices_are_the_fields_that_their_labels_say(read, data):
    models = {
        row.name.removesuffix('_hrda'): read(row).model for row in table('choices', data).rows
    }
    default = models['dsr']
    assert not {'reweight', 'night_gradient'} & set(default.alignment)
    assert 'teacher_bn' not in default.teacher and 'definition' not in default.augmentation
    assert models['fpa_literal'].alignment.reweight == 'literal'
    assert models['fpa_night_cut'].alignment.night_gradient is False
    statistics = ('running', 'apart', 'target')
    assert [models[f'teacher_{name}'].teacher.teacher_bn for name in statistics] == [
        'running', 'batch_apart', 'target',
    ]  # fmt: skip
    assert models['jitter_torchvision'].augmentation.definition == 'torchvision'
    assert (models['authors'].alpha, models['authors'].bank.type) == (0.8, 'BatchMemoryBank')


def test_the_authors_start_of_prototypes_follows_the_length_of_the_run():
    (row,) = (row for row in table('choices', 'real').rows if row.name == 'authors_hrda')
    starts = [
        Run(row, 0, Settings('real', max_iters=length)).config().model.alignment.start
        for length in (None, 4000)
    ]
    assert starts == [9700, 970]


@pytest.mark.parametrize(
    ('name', 'data'), [(n, d) for n, d in ALL if n not in ('1', '2', '6', 'vfm')]
)
def test_rows_of_an_ablation_differ_in_the_method_only(read, name, data):
    # the authors' code and another jitter are other methods
    others = ('authors_hrda', 'jitter_torchvision_hrda')
    rows = [row for row in table(name, data).rows if row.name not in others]
    configs = [read(row) for row in rows]
    for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness'):
        assert all(c[key] == configs[0][key] for c in configs), key
    for key in ('student', 'augmentation', 'feature_distance', 'confidence_threshold'):
        assert all(c.model.get(key) == configs[0].model.get(key) for c in configs), key


def test_self_training_never_sees_the_day_reference(read):
    for name in ('1', '3', '6'):
        for data in DATA:
            for row in table(name, data).runnable():
                if row.name.startswith('classmix'):
                    model = read(row).model
                    assert model.refinement is None and not model.get('adapt_to_reference')


def test_rows_are_chosen_by_name_or_number():
    tables = [table('3', 'nightscape'), table('4', 'nightscape')]
    chosen = choose_rows(tables, ['dsr_hrda', '1'])
    assert [(one.name, row.name) for one, row in chosen] == [
        ('3', 'classmix_hrda'), ('3', 'dsr_hrda'), ('4', 'empty_mask_hrda'), ('4', 'dsr_hrda'),
    ]  # fmt: skip
    assert [one.name for one, _ in choose_rows(tables, ['bank_hrda'])] == ['3']
    assert [row for _, row in choose_rows(tables)] == [row for one in tables for row in one.rows]
    with pytest.raises(ConfigError, match=r'no row sdr_hrda; the rows are classmix_hrda, '):
        choose_rows(tables, ['dsr_hrda', 'sdr_hrda'])


def test_a_table_that_this_data_lacks_is_named():
    with pytest.raises(
        ConfigError, match='table 4 has no rows on camvid; there are tables 1, 3, 6'
    ):
        table('4', 'camvid')
