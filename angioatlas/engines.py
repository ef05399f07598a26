"""What embeds, as the settings have it: this process, or processes of a Ray cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from core.provenance import software_version
from core.settings import Settings
from embedder.cluster.engine import RayEngine
from embedder.cluster.worker import Duty
from embedder.encoders.registry import gpus
from embedder.engine import LocalEngine
from embedder.guard.pool import GuardedPool
from embedder.work import Engine

if TYPE_CHECKING:
    from angioatlas.ingest import EncoderHandle

GIB: Final = 2**30


def choose_engine(
    encoder: EncoderHandle, settings: Settings, *, pool: GuardedPool, store_url: str, run_id: str
) -> Engine:
    """Make the engine that the settings name.

    Parameters
    ----------
    encoder : EncoderHandle
        Is loaded here for an engine of this process.
    settings : Settings
    pool : GuardedPool
        Open; an engine of this process decodes in it.
    store_url, run_id : str
        Where processes of a cluster hand in what they have embedded.
    """
    embed, limits = settings.embed, settings.limits
    if embed.engine == "local":
        engine = LocalEngine(encoder.load(), pool, batch_size=embed.batch_size)
        # An encoder that may use a GPU has loaded PyTorch; one of a test has not, and waits not.
        if embed.device != "cpu" and "torch" in sys.modules and (found := gpus()) > 1:
            engine.notes.append(
                f"one of {found} GPUs is used; `--engine ray` uses all of them (docs/operations.md)"
            )
        return engine
    duty = Duty(
        load=encoder.load,
        encoder_id=encoder.encoder_id,
        version=software_version(),
        store_url=store_url,
        run_id=run_id,
        decoders=embed.workers,
        seconds=limits.decode_seconds,
        memory_bytes=int(limits.worker_memory_gib * GIB),
        batch_size=embed.batch_size,
    )
    return RayEngine(
        embed.ray_address, cpus=embed.ray_cpus, use_gpus=embed.device != "cpu", duty=duty
    )
