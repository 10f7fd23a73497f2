"""The page: an image or a video goes in, what one network predicts or two comes out.

Gradio brings server and browser side. It asks nothing of the network here: no analytics, no fonts
and no scripts from elsewhere, no tunnel.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from dsr_nss.datasets.images import read_image
from dsr_nss.datasets.regular_files import MAX_BYTES
from dsr_nss.errors import EXPLAINED, ConfigError
from dsr_nss.inference.inputs import VIDEO_SUFFIXES
from dsr_nss.inference.predictor import Predictor
from dsr_nss.inference.video import frame_rate, read_frames, video_length
from dsr_nss.inference.video_file import VideoFile
from dsr_nss.web.views import VIEWS, Pair, Summary, pairs, table

os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # it is asked when gradio is imported
try:
    import gradio as gr
except ImportError as error:
    raise ConfigError("the page needs the package gradio: `pip install -e '.[web]'`") from error

_CSS = (Path(__file__).parent / 'page.css').read_text()

#: What may be dropped; by kind alone some endings of videos would be taken for something else.
_FILE_TYPES = ['image', 'video', *VIDEO_SUFFIXES]
#: Of an event: no part of an interface that programs may call.
_PRIVATE: dict[str, Any] = dict(api_visibility='private')


class Network(NamedTuple):
    """A network of the page and what it is called there."""

    name: str
    predictor: Predictor


def make_page(networks: Sequence[Network], examples: Sequence[Path], folder: Path) -> gr.Blocks:
    """The page, not served yet.

    Args:
        networks: One, which is compared with the image itself, or two.
        examples: Images to click.
        folder: Where uploads and results lie, for as long as the page is served.
    """
    os.environ['GRADIO_TEMP_DIR'] = str(folder)
    names = [network.name for network in networks]
    left, right = ['image', *names][-2:]
    with gr.Blocks(title='dsr_nss', analytics_enabled=False) as page:
        gr.Markdown(f'# dsr_nss\n{" and ".join(f"`{name}`" for name in names)}')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.File(label='Photo or video', file_types=_FILE_TYPES, height=150)
                samples = gr.Dataset(
                    label='Or one of these',
                    components=[gr.Image(visible=False, format='png')],
                    samples=[[str(path)] for path in examples],
                    type='index',
                )
            with gr.Column(scale=3, min_width=320):
                with gr.Column(visible=False) as photo:
                    gr.Markdown(f'Left of the line: **{left}**, right of it: **{right}**')
                    with gr.Tabs():
                        sliders = [_slider(view) for view in VIEWS]
                video = gr.Video(show_label=False, visible=False, elem_id='video')
                shares = gr.HTML(padding=False, min_height=80)
        answers = Answers(networks, folder)
        outputs = [photo, *sliders, video, shares]
        on: dict[str, Any] = dict(show_progress_on=shares, **_PRIVATE)
        shown = upload.upload(answers.to, upload, outputs, **on)
        for ended in (shown.success, shown.failure):
            ended(lambda: None, None, upload, **_PRIVATE)  # the next file can be dropped
        upload.clear(None, cancels=shown, **_PRIVATE)
        samples.click(lambda i: answers.of_image(str(examples[i])), samples, outputs, **on)
    return page


def _slider(view: str) -> gr.ImageSlider:
    with gr.Tab(view.capitalize()):
        if view == 'confidence':
            gr.Markdown('Probability of the predicted class: black is 0, white is 1')
        # PNG: colours are the classes'
        return gr.ImageSlider(
            format='png', show_label=False, interactive=False, elem_id=view, max_height=600
        )


class Answers:
    """What the page shows of an upload, as values of its outputs; arguments as in `make_page`."""

    def __init__(self, networks: Sequence[Network], folder: Path) -> None:
        self.networks, self.folder = networks, folder

    def to(
        self,
        path: str,
        progress: Any = gr.Progress(),  # noqa: B008, where gradio looks for it
    ) -> Iterator[list[Any]]:
        """The results of an image or a video."""
        if path.lower().endswith(VIDEO_SUFFIXES):
            yield from self._of_video(path, progress)
        else:
            yield self.of_image(path)

    def _values(
        self,
        summaries: Sequence[Summary],
        pictures: Sequence[Pair | None] = (None,) * len(VIEWS),
        video: Path | None = None,
    ) -> list[Any]:
        names = [network.name for network in self.networks]
        return [
            gr.Column(visible=pictures[0] is not None),
            *pictures,
            gr.Video(video, visible=video is not None),
            table(names, summaries),
        ]

    def of_image(self, path: str) -> list[Any]:
        with _explained(path):
            image = read_image(path)
            predictions = [network.predictor.predict(image) for network in self.networks]
        summaries = [Summary() for _ in predictions]
        for summary, prediction in zip(summaries, predictions, strict=True):
            summary.add(prediction)
        return self._values(summaries, pairs(predictions))

    def _of_video(self, path: str, progress: Any) -> Iterator[list[Any]]:
        summaries = [Summary() for _ in self.networks]
        out = Path(tempfile.mkdtemp(dir=self.folder)) / 'overlay.mp4'
        with _explained(path):
            total = video_length(Path(path)) or None
            for number in write_overlays(self.networks, Path(path), out, summaries):
                progress((number, total), unit='frames')
                yield [gr.skip()] * (len(VIEWS) + 3)  # it ends here when the page is left
        yield self._values(summaries, video=out)


def write_overlays(
    networks: Sequence[Network], path: Path, out: Path, summaries: Sequence[Summary]
) -> Iterator[int]:
    """Writes a video of the overlays, side by side; gives the number of each frame that is done.

    Raises:
        FileNotFoundError, DataError, ValueError: The video cannot be read, or predicted.
    """
    with VideoFile(out, frame_rate(path)) as file:
        for number, frame in enumerate(read_frames(path), start=1):
            predictions = [network.predictor.predict(frame.image) for network in networks]
            for summary, prediction in zip(summaries, predictions, strict=True):
                summary.add(prediction)
            file.write(np.hstack([one.overlay() for one in predictions]), frame.time)
            yield number


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """What is wrong with an upload as one sentence on the page."""
    try:
        yield
    except MemoryError as error:
        raise _sentence(str(error) or f'{path}: it does not fit into the memory', path) from None
    except (*EXPLAINED, ValueError, torch.OutOfMemoryError) as error:
        raise _sentence(str(error), path) from None


def _sentence(text: str, path: str) -> gr.Error:
    """By the name that the file had, not by its place on this machine."""
    text = text.replace(path, Path(path).name)
    return gr.Error(escape(text), duration=None, print_exception=False)


def start(page: gr.Blocks, host: str, port: int | None, *, browser: bool = False) -> str:
    """Serves the page in threads of its own; returns its address.

    Args:
        page: From `make_page`.
        host: Address of this machine at which it answers.
        port: None: the first free one from 7860 on.
        browser: Open it in the browser of this machine.

    Raises:
        ConfigError: The address or port cannot be had.
    """
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_BYTES,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            ssr_mode=False,
            # it would ask itself for the page, and give up after 3 s on a busy machine or where
            # a proxy is set
            _frontend=False,
            theme=gr.themes.Default(),
            css=_CSS,
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(f'cannot serve the page at {host}:{port or 7860} ({error})') from None
    return address
