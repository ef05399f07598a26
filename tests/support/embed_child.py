"""A process that embeds and kills itself after the n-th write to the store.

python -m tests.support.embed_child ARCHIVE STORE N [VIDEOS_PER_STUDY]

With a number of videos a study it decides known studies anew.
"""

import os
import signal
import sys
from pathlib import Path

from angioatlas.ingest import EmbedOptions, EncoderHandle, embed
from core.settings import load_settings
from embedder.sampling import ClipRule
from tests.support.tiny import TinyEncoder


def main(archive: str, store: str, last: int, most: int | None = None) -> None:
    steps = 0

    def on_step(name: str) -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            print(name, flush=True)  # noqa: T201  the parent asks where it died
            os.kill(os.getpid(), signal.SIGKILL)

    embed(
        store,
        [Path(archive)],
        encoder=EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder),
        settings=load_settings().with_embed(workers=1, commit_studies=2, videos_per_study=most),
        options=EmbedOptions(prune=True, keep_identifiers=True, reselect=most is not None),
        on_progress=lambda phase, done, total: None,
        on_step=on_step,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
