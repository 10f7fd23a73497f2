"""A network as a folder of a model hub: weights, config and a card.

Uploading it is `huggingface_hub.upload_folder(repo_id=NAME, folder_path=FOLDER)`, for instance.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsr_nss.checkpoints.comparison import printable
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import content_digest, sha256_of
from dsr_nss.conversion.config import number_of_classes
from dsr_nss.conversion.convert import Conversion, convert_checkpoint, network_title
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.table import format_table, set_names
from dsr_nss.files import write_text
from dsr_nss.inference.load import dataset_meta
from dsr_nss.inference.saved_network import saved_fields
from dsr_nss.shipped import shipped_file
from dsr_nss.version import __version__

WEIGHTS, CONFIG, CARD = 'model.safetensors', 'config.py', 'README.md'
_NOT_STATED = 'Not stated.'


def write_hub_folder(
    source: str | Path,
    folder: str | Path,
    *,
    network: str = 'student',
    layout: str = 'auto',
    half: bool = False,
    config: str | Path | None = None,
    licence: str | None = None,
    data: str | None = None,
    protocol: str | None = None,
    scores: Sequence[str | Path] = (),
) -> Conversion:
    """Writes `model.safetensors`, `config.py` and a card, `README.md`, that `dsr_nss.load` reads.

    The card says what the user gives here and what the checkpoint knows of itself. Where neither
    says anything it says so.

    Args:
        source: The checkpoint, of a run or published; it is read as data.
        folder: The folder; it is made. A card that it holds is not overwritten.
        network, layout, half, config: Same meaning as in `convert_checkpoint`.
        licence: Licence of the weights.
        data: What the network was trained on, and under which terms.
        protocol: How it was trained, chosen and tested.
        scores: Files that `tools/test.py --json` wrote for this checkpoint and network.

    Returns:
        What `convert_checkpoint` returns; an incomplete network writes nothing.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: Same as in `convert_checkpoint`.
        ConfigError: The same; also a folder that holds such files, or scores that are none of this
            network.
    """
    folder = Path(folder)
    for path in (folder / name for name in (CARD, WEIGHTS, CONFIG)):
        if path.exists():
            raise ConfigError(f'{path} is there already: move it away, or name another folder')
    source = shipped_file(source)
    measured = [_scores(Path(path), source, network) for path in scores]
    result = convert_checkpoint(
        source,
        folder / WEIGHTS,
        layout=layout,
        network=network,
        half=half,
        config=config,
        config_out=folder / CONFIG,
    )
    if result.written is None:
        return result
    if result.kind != 'segmentor':
        for name in (WEIGHTS, CONFIG):
            (folder / name).unlink()
        raise ConfigError(f'{source} holds an {result.kind}; a hub folder is of a segmentor')
    text = (folder / CONFIG).read_text(encoding='utf-8')
    for name in (CONFIG, WEIGHTS):
        text = text.replace(str(folder / name), name)  # the folder will be elsewhere
    write_text(folder / CONFIG, text)
    content = load_checkpoint_file(source)
    facts = {**_facts(result), **dict(_training(content, source))}
    write_text(
        folder / CARD, _card(folder.resolve().name, facts, licence, data, protocol, measured)
    )
    return result


def _scores(path: Path, source: Path, network: str) -> dict[str, Any]:
    """What `tools/test.py --json` wrote."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'--scores {path} is no JSON file ({error})') from error
    names = set_names(content) if isinstance(content, dict) else []
    if not names or any(f'{name}/images' not in content for name in names):
        raise ConfigError(f'--scores {path} holds no scores: name what `--json` of the test wrote')
    if content.get('model') != network:
        raise ConfigError(
            f'--scores {path} is of the {content.get("model")}, the folder of the {network}'
        )
    tested = Path(str(content.get('checkpoint', source))).name
    digest = content_digest(source) if source.is_file() else None
    if content['content'] != digest if 'content' in content else tested != source.name:
        raise ConfigError(f'--scores {path} is of another file ({tested}) than {source}')
    norms = content.get('batch_norms', 'plain')
    if norms != 'plain':
        raise ConfigError(
            f'--scores {path} was measured with --batch-norms {norms}: these statistics are not in '
            f'{WEIGHTS}. Test without, or write them by tools/adapt_batch_norm.py first'
        )
    return content


def _facts(result: Conversion) -> dict[str, str]:
    """What the network and the file are."""
    assert result.written is not None
    fields = dict(result.config)
    written = load_checkpoint_file(result.written)
    classes = dataset_meta(written, number_of_classes(fields))['classes']
    testing = ', '.join(f'{key} {value}' for key, value in (fields.get('test_cfg') or {}).items())
    random = {'entries at random': ', '.join(result.random)} if result.random else {}
    return random | {
        'network': network_title(fields),
        'of': f'the {result.network} of {result.source.name}, layout {result.layout}',
        'SHA-256 of its source': sha256_of(result.source),
        f'SHA-256 of {WEIGHTS}': sha256_of(result.written),
        'classes': ', '.join(classes),
        'inference': testing or 'as the config says',
        'converted by': f'dsr_nss {__version__}',
    }


def _training(content: Mapping[str, Any], source: str | Path) -> Iterator[tuple[str, str]]:
    """What a checkpoint of a run knows of its training."""
    meta = content.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    for key, name in (('iter', 'iterations'), ('seed', 'seed')):
        if isinstance(meta.get(key), int):
            yield name, str(meta[key])
    environment = meta.get('environment')
    if isinstance(environment, Mapping):
        known = ('dsr_nss', 'git_commit', 'torch', 'device')
        found = (f'{key} {environment[key]}' for key in known if environment.get(key))
        yield 'trained with', ', '.join(found)
    try:
        loader = (saved_fields(content, source) or {}).get('train_dataloader')
    except ConfigError:
        return  # the network was told from the names
    dataset = loader.get('dataset') if isinstance(loader, Mapping) else None
    for role in ('source', 'target'):
        part = dataset.get(role) if isinstance(dataset, Mapping) else None
        if isinstance(part, Mapping) and part.get('type'):
            yield f'{role} of its config', f'{part["type"]} {part.get("split", "")}'.strip()


def _card(
    name: str,
    facts: Mapping[str, str],
    licence: str | None,
    data: str | None,
    protocol: str | None,
    measured: Sequence[Mapping[str, Any]],
) -> str:
    front = {'library_name': 'dsr_nss', 'pipeline_tag': 'image-segmentation'}
    if licence is not None:
        front['license'] = licence
    rows = [f'| {_cell(key)} | {_cell(value)} |' for key, value in facts.items()]
    return '\n'.join([
        '---',
        *(f'{key}: {json.dumps(value)}' for key, value in front.items()),
        '---',
        '',
        f'# {_cell(name)}',
        '',
        '```python',
        'import dsr_nss',
        '',
        "dsr_nss.load('FOLDER').predict('night.jpg').save('out')",
        '```',
        '',
        f'`FOLDER` is this folder. The network is described inside `{WEIGHTS}` and read as data;',
        f'`{CONFIG}` is a config for `dsr-nss test {CONFIG} {WEIGHTS}`, a program that is run.',
        '',
        '| | |',
        '|---|---|',
        *rows,
        '',
        '## Training data',
        '',
        data or _NOT_STATED,
        '',
        '## Licence of the weights',
        '',
        licence or _NOT_STATED,
        '',
        '## Protocol',
        '',
        protocol or _NOT_STATED,
        '',
        '## Scores',
        '',
        *([line for scores in measured for line in _score_lines(scores)] or ['None given.', '']),
    ])  # fmt: skip


def _score_lines(scores: Mapping[str, Any]) -> list[str]:
    images = ', '.join(f'{name}: {scores[f"{name}/images"]} images' for name in set_names(scores))
    tta = 'with' if scores.get('tta') else 'without'
    tested = Path(str(scores.get('checkpoint', 'a file that is not named'))).name
    return [
        f'IoU in percent of the {scores["model"]} of {_cell(tested)}, {tta} test-time '
        f'augmentation, in {scores.get("amp") or "float32"}. {_cell(images)}.',
        '',
        '```',
        printable(format_table(scores)),
        '```',
        '',
    ]


def _cell(text: str) -> str:
    return printable(text).replace('|', r'\|').replace('\n', ' ')
