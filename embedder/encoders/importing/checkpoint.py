"""Turn original checkpoints into an encoder folder: `encoder.json`, safetensors, a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UsageError
from embedder.encoders.deepcoro_spec import DeepCoroSpec, HeadsSpec, TextSpec
from embedder.encoders.importing.folder import link_files, new_folder
from embedder.encoders.importing.options import ImportOptions, space_facts, specification
from embedder.encoders.importing.parts import Parts
from embedder.encoders.importing.reader import HINT, Checkpoint, read_checkpoint
from embedder.encoders.importing.sources import find_sources
from embedder.encoders.registry import (
    SPEC_FILE,
    is_bundled,
    load_encoder,
    load_text_encoder,
    read_spec,
)
from embedder.encoders.self_check import SELF_CHECK_FILE, self_check
from embedder.encoders.spec import EncoderSpec


@dataclass
class Imported:
    """What an import made.

    Attributes
    ----------
    spec : DeepCoroSpec
        As written.
    folder : Path
    unused : dict of str to list of str
        By checkpoint: the names that no part of the encoder uses, sorted.
    notes : list of str
        What was assumed, or is still missing.
    """

    spec: DeepCoroSpec
    folder: Path
    unused: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def import_encoder(
    sources: Sequence[str | Path],
    *,
    out: Path,
    name: str,
    options: ImportOptions,
    vocabulary: Path | None = None,
    overwrite: bool = False,
    checked: bool = True,
) -> Imported:
    """Import checkpoints under a name.

    Parameters
    ----------
    sources : sequence of str or Path
        Files, folders or hub ids: a contrastive or encoder-only checkpoint, a probing checkpoint,
        or one of each.
    out : Path
        The folder of encoders; the encoder becomes the folder `out/name`.
    name : str
    options : ImportOptions
    vocabulary : Path, optional
        The tokenizer folder of the text encoder.
    overwrite : bool
        Replace an encoder of this name.
    checked : bool
        Compute what `verify` will compare with; takes a few seconds.

    Raises
    ------
    UsageError
        An option is not valid, or an encoder of this name exists.
    NotFoundError
        There is no such file.
    EncoderError
        A file cannot be used.  Nothing of it stays in `out`.
    """
    # Options are checked before a long read: digests and depth are placeholders here.
    options.check()
    placeholders = space_facts(options, name=name, statistics=(options.mean, options.std), depth=1)
    specification(DeepCoroSpec, placeholders)
    folder = out / name
    if is_bundled(name):
        raise UsageError(
            f"{name} is the name of an encoder that comes with the package", "choose another --name"
        )
    _refuse_taken(folder, overwrite=overwrite)
    found = find_sources(sources, vocabulary=vocabulary)
    if not found.checkpoints:
        raise UsageError("no checkpoint is among what was named", HINT)
    contrastive, probing = _roles([read_checkpoint(path) for path in found.checkpoints])
    with new_folder(folder) as partial:
        _refuse_taken(folder, overwrite=overwrite)  # by another import meanwhile
        parts = Parts(partial, options)
        if contrastive is not None:
            space = parts.space(contrastive, name=name)
            text = parts.text(contrastive.text, contrastive.path, found.vocabulary)
        else:
            assert probing is not None, "a checkpoint is of the one kind or the other"
            space = parts.tuned_space(probing, name=name)
            text = parts.text({}, probing.path, found.vocabulary)
        spec = specification(DeepCoroSpec, {**space, "text": text})
        if probing is not None:
            spec = _with(spec, findings=parts.findings(probing, spec))
        _finish(spec, partial, checked=checked)
    return Imported(spec, folder, parts.unused, parts.notes)


def add_to_encoder(
    folder: Path,
    sources: Sequence[str | Path],
    *,
    options: ImportOptions,
    vocabulary: Path | None = None,
    overwrite: bool = False,
    checked: bool = True,
) -> Imported:
    """Bring finding heads, or the vocabulary of the text encoder, to an encoder.

    Its vectors stay what they are, and so does its `encoder_id`.

    Parameters
    ----------
    folder : Path
        Of the encoder.
    sources, options, vocabulary, checked
        As for `import_encoder`; of the options those of the heads count.
    overwrite : bool
        Replace the heads or the vocabulary that the encoder has.

    Raises
    ------
    UsageError
        The encoder has such a part already, or has no place for it; an option is not valid.
    NotFoundError, EncoderError
        As for `import_encoder`.  The encoder stays as it was.
    """
    options.check()
    _can_be_added_to(read_spec(folder))
    found = find_sources(sources, vocabulary=vocabulary)
    contrastive, probing = _roles([read_checkpoint(path) for path in found.checkpoints])
    if contrastive is not None:
        raise UsageError(
            f"{contrastive.path.name} would be another video encoder: only finding heads and a "
            "vocabulary can be added",
            "import it as an encoder of its own: angioatlas encoders import",
        )
    if probing is None and found.vocabulary is None:
        raise UsageError("nothing to add is among what was named", HINT)
    with new_folder(folder) as partial:
        # Only now: another import may have changed it meanwhile.
        spec = _can_be_added_to(read_spec(folder))
        if spec.findings is not None and probing is not None and not overwrite:
            raise UsageError(f"{spec.name} has finding heads already", "add --overwrite")
        parts = Parts(partial, options)
        if found.vocabulary is not None:
            spec = _with(spec, text=parts.vocabulary(spec, found.vocabulary, overwrite=overwrite))
        kept = spec if probing is None else _with(spec, findings=None)
        link_files(
            (each for each in kept.files if not (partial / each.file).exists()), folder, partial
        )
        if probing is not None:
            spec = _with(spec, findings=parts.findings(probing, kept))
        _finish(spec, partial, checked=checked)
    return Imported(spec, folder, parts.unused, parts.notes)


def _can_be_added_to(spec: EncoderSpec) -> DeepCoroSpec:
    if isinstance(spec, DeepCoroSpec):
        return spec
    raise UsageError(
        f"{spec.name} is a {spec.architecture}: its parts were trained together, nothing can be "
        "added",
        "import the published weights as an encoder of their own: angioatlas encoders import",
    )


def _refuse_taken(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise UsageError(
            f"an encoder named {folder.name} exists in {folder.parent}",
            "choose another --name, add --overwrite, or bring parts to it: angioatlas encoders add",
        )


def _roles(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint | None, Checkpoint | None]:
    """Return the checkpoint of the space and that of the finding heads."""
    probing = [each for each in checkpoints if each.kind == "probing"]
    spaces = [each for each in checkpoints if each.kind != "probing"]
    for found, kind in ((spaces, "contrastive or encoder-only"), (probing, "probing")):
        if len(found) > 1:
            names = ", ".join(str(each.path) for each in found[:5])
            raise UsageError(
                f"{len(found)} {kind} checkpoints, expected one at most: {names}",
                "name the files one by one",
            )
    return (spaces[0] if spaces else None, probing[0] if probing else None)


def _with(spec: DeepCoroSpec, **parts: HeadsSpec | TextSpec | None) -> DeepCoroSpec:
    # Made anew and not copied, so that the parts are checked against each other.
    facts = {name: getattr(spec, name) for name in DeepCoroSpec.model_fields}
    return specification(DeepCoroSpec, facts | parts)


def _finish(spec: DeepCoroSpec, folder: Path, *, checked: bool) -> None:
    """Write the specification, and what a later check of the folder will compare with."""
    (folder / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")
    if checked:
        text = load_text_encoder(folder, device="cpu") if spec.can_read_text else None
        found = self_check(load_encoder(folder, device="cpu"), text)
        (folder / SELF_CHECK_FILE).write_text(found.to_json(), encoding="utf-8")
