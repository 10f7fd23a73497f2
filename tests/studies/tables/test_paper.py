"""The paper's numbers come out where its tables have them."""

import json
from pathlib import Path

from dsr_nss.studies.tables import rows
from dsr_nss.studies.tables.rows import paper_tables


def test_known_numbers():
    tables = paper_tables()
    assert tables['1']['DSR-NSS-HRDA']['mIoU'] == 65.2
    assert tables['1']['GCMA']['traffic light'] == 40.5
    assert tables['2']['DSR-NSS-DeepLabv2']['acdc_night_val'] == 43.6
    assert tables['2']['GCMA']['acdc_night_val'] is None
    assert tables['3']['+ DSR full']['mIoU'] == 63.7
    assert tables['4']['ours']['mIoU'] == 65.2
    assert tables['5']['alpha1.0 beta0.100']['mIoU'] == 65.18
    assert tables['5']['alpha1.5 beta0.075']['mIoU'] == 63.93
    assert len(tables['5']) == 12
    assert tables['6']['HRDA']['mIoU'] == 73.8


def test_the_packaged_file_is_the_reference(shared_dir):
    reference = json.loads((shared_dir / 'reference/paper_tables.json').read_text())
    assert json.loads(Path(rows.__file__).with_name('paper_tables.json').read_text()) == reference
