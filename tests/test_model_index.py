"""The index of the model zoo."""

import yaml
from mmengine.config import Config


def test_the_index_names_the_configs(repo_root):
    """Its entries, in OpenMMLab's form, are the runs on the real data, and what is there."""
    imports = yaml.safe_load((repo_root / 'configs' / 'model-index.yml').read_text())['Import']
    index = [yaml.safe_load((repo_root / path).read_text()) for path in imports]
    collections = {entry['Name'] for part in index for entry in part['Collections']}
    models = [entry for part in index for entry in part['Models']]
    configs = sorted(path.stem for path in (repo_root / 'configs').glob('*.py'))
    assert sorted(model['Name'] for model in models if 'Weights' not in model) == configs
    for model in models:
        assert model['In Collection'] in collections
        config = Config.fromfile(str(repo_root / model['Config']))
        assert model['Name'] == (repo_root / model['Config']).stem
        assert config.train_cfg.max_iters == model['Metadata']['Iterations']
        assert ('Weights' in model) == ('Results' in model)
        assert 'Weights' not in model or (repo_root / model['Weights']).is_file()
