"""One settings object: defaults, a TOML file, environment variables, then the command line.

The file is `angioatlas.toml` in the working directory, else `config.toml` in the user's
configuration folder, or what `ANGIOATLAS_CONFIG` names.  Environment variables are
`ANGIOATLAS_` and the setting's name, with two underscores between a section and its setting
(`ANGIOATLAS_LIMITS__DECODE_SECONDS=120`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.errors import UsageError
from core.schema import CINE_MODALITIES


def _user_folder(variable: str, default: str) -> Path:
    # The XDG base directories, where other programs of this user keep such things too.
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / default) / "angioatlas"


def config_folder() -> Path:
    """Folder of the user's configuration and identity keys."""
    return _user_folder("XDG_CONFIG_HOME", ".config")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EmbedSettings(_Section):
    """How the batch embedder works."""

    modalities: tuple[str, ...] = Field(
        CINE_MODALITIES, description="Modalities whose multi-frame images are cines."
    )
    site: str | None = Field(None, description="Site name recorded with every study.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the encoder runs.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="What videos are embedded in: by default bf16 on a GPU, fp32 on a CPU."
    )
    batch_size: int | None = Field(
        None, ge=1, le=256, description="Clips per encoder call; by device when absent."
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="Decode processes; by cores when absent."
    )
    movies: Path | None = Field(
        None, description="CSV that assigns AVI and MP4 files to studies; see `docs/movies.md`."
    )
    min_contrast: float = Field(
        1.5, ge=0, description="Contrast signal below which a run is left out; 0 admits every run."
    )
    min_frames: int = Field(8, ge=1, description="Frames below which a run is left out.")
    videos_per_study: int | None = Field(
        None, ge=1, description="Runs of a study, the first in study order; all when absent."
    )
    classified: Path | None = Field(
        None, description="CSV in which a classifier says what runs show; see `docs/runs.md`."
    )
    all_runs: bool = Field(False, description="Leave no run out by a rule.")
    max_failed: str | None = Field(
        None,
        description="Inputs that may fail before a run gives up: a number, or a share of those "
        "that it settles such as `5%`; no limit when absent.",
    )
    commit_studies: int = Field(64, ge=1, description="Studies per commit at the most.")
    commit_seconds: float = Field(60, gt=0, description="Seconds between commits at the most.")
    engine: Literal["local", "ray"] = Field(
        "local", description="This process, or those of a Ray cluster; see `docs/operations.md`."
    )
    ray_address: str | None = Field(
        None, description="Cluster to join (`auto`, `host:port`); one of this machine when absent."
    )
    ray_cpus: int | None = Field(
        None,
        ge=1,
        description="CPUs of each process of a cluster; by its machines when absent.",
    )


class LimitSettings(_Section):
    """What one input may cost before it is quarantined."""

    header_seconds: float = Field(20, gt=0, description="Time to read one header, in seconds.")
    decode_seconds: float = Field(60, gt=0, description="Time to decode one cine, in seconds.")
    worker_memory_gib: float = Field(
        3, ge=1, description="Address space of one decode process, in GiB."
    )


class PictureSettings(_Section):
    """Cines and thumbnails made for people to look at."""

    cache_gib: float = Field(
        4, gt=0, description="Cines and thumbnails kept of one store, in GiB; see `docs/cines.md`."
    )


class RetentionSettings(_Section):
    """How long old store versions are kept."""

    keep_versions: int = Field(2, ge=1, description="Store versions kept by compaction.")
    grace_days: float = Field(7, ge=0, description="Age, in days, below which none is dropped.")
    compact_after: int = Field(
        32, ge=1, description="Commits since the last compaction after which embed compacts."
    )


class ServeSettings(_Section):
    """How the API is served."""

    hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Names that requests may be sent to, without a port.",
    )
    origins: tuple[str, ...] = Field(
        (), description="Origins of web pages that may call the API, such as a viewer's."
    )
    upload_mib: int = Field(1024, ge=1, description="Size of an uploaded exam, in MiB.")
    upload_files: int = Field(200, ge=1, le=1000, description="Files of an uploaded exam.")
    upload_frames: int = Field(
        20_000, ge=1, description="Frames of an uploaded exam, by its headers."
    )
    upload_megapixels: int = Field(
        20_000, ge=1, description="Pixels of its frames together, by its headers, in millions."
    )
    upload_seconds: float = Field(
        600, gt=0, description="Time that an upload may take, in seconds."
    )
    uploads_at_once: int = Field(
        4, ge=1, description="Exams of which one process receives files at a time."
    )
    archive_dir: Path | None = Field(
        None,
        description="Folder that files of stored exams are kept in; none can be stored without.",
    )
    texts_at_once: int = Field(
        2, ge=1, description="Texts that are embedded at a time, so that other searches run."
    )
    texts_kept: int = Field(
        10_000, ge=1, description="Texts whose vectors are kept in memory, of each encoder."
    )
    requests_per_second: float = Field(
        100,
        ge=0,
        description="Of one caller, to one process, in the long run; 0 sets no limit.",
    )
    requests_burst: int = Field(200, ge=1, description="Requests that one caller may make at once.")
    connections: int = Field(512, ge=8, description="Open connections of one process.")
    oidc_issuer: str | None = Field(
        None, description="Identity provider whose tokens are accepted; see `docs/api-security.md`."
    )
    oidc_audience: str | None = Field(
        None, description="Audience that its tokens must have been made for."
    )
    oidc_jwks: str | None = Field(
        None, description="Address or file of its keys, where its discovery document has none."
    )
    oidc_name_claim: str = Field("sub", description="Claim that names the caller on record.")
    oidc_scope_claim: str = Field(
        "scope", description="Claim that holds scopes; `a.b` is the claim `b` inside `a`."
    )
    oidc_scopes: dict[str, Literal["search", "read", "write", "admin"]] = Field(
        {f"angioatlas:{name}": name for name in ("search", "read", "write", "admin")},
        description="Which value of that claim gives which scope.",
    )


class Settings(BaseSettings):
    """All settings of AngioAtlas."""

    model_config = SettingsConfigDict(
        env_prefix="ANGIOATLAS_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    store: str | None = Field(
        None, description="Folder of the store, or its URI: `s3://bucket/prefix`."
    )
    encoder: str = Field(
        "phantom-mini",
        description="Encoder to embed with, or to read where a store has several: name or folder.",
    )
    encoders_dir: Path = Field(
        default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share") / "encoders",
        description="Folder of the imported encoders.",
    )
    state_dir: Path = Field(
        default_factory=lambda: _user_folder("XDG_STATE_HOME", ".local/state"),
        description="Folder of this installation: API keys, audit trail, caches.",
    )
    identity_key: Path = Field(
        default_factory=lambda: config_folder() / "identity.key",
        description="File of the pseudonymisation key; never inside the store.",
    )
    embed: EmbedSettings = Field(default_factory=EmbedSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    pictures: PictureSettings = Field(default_factory=PictureSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    serve: ServeSettings = Field(default_factory=ServeSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources, strongest first; the TOML file is found at each call."""
        file = config_file()
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=file),) if file else ()
        return (init_settings, env_settings, *toml)

    def with_embed(self, **overrides: Any) -> Settings:
        """Return these settings with what a command line gave for the `embed` section.

        Raises
        ------
        UsageError
            When a value is out of range.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            embed = EmbedSettings(**{**self.embed.model_dump(), **given})
        except ValidationError as error:
            raise _unusable(error) from error
        return self.model_copy(update={"embed": embed})


def config_file() -> Path | None:
    """Find the configuration file in use, or None.

    Raises
    ------
    UsageError
        When `ANGIOATLAS_CONFIG` names a file that is not there.
    """
    named = os.environ.get("ANGIOATLAS_CONFIG")
    if named:
        if not Path(named).is_file():
            raise UsageError(
                f"ANGIOATLAS_CONFIG names {named!r}, which is not a file",
                "correct the variable or unset it",
            )
        return Path(named)
    candidates = (Path("angioatlas.toml"), config_folder() / "config.toml")
    return next((file for file in candidates if file.is_file()), None)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` (what a command line gave, None = not given) win.

    Raises
    ------
    UsageError
        When the file is not TOML or a value is unknown or out of range: which one, and why.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{config_file()} is not valid TOML: {error}", "correct it") from error
    except SettingsError as error:
        raise UsageError(
            f"an environment variable cannot be read: {error}",
            'lists are JSON, such as ["XA", "RF"]',
        ) from error
    except ValidationError as error:
        raise _unusable(error) from error


def _unusable(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return UsageError(
        f"the setting {name!r} cannot be used: {first['msg'].lower()}",
        "`angioatlas config show` lists every setting",
    )


def explain(settings: Settings) -> list[tuple[str, Any, str, str]]:
    """List every setting as (dotted name, value, where it came from, description)."""
    file = config_file()
    in_file = TomlConfigSettingsSource(Settings, toml_file=file)() if file else {}
    in_environment = EnvSettingsSource(
        Settings, env_prefix="ANGIOATLAS_", env_nested_delimiter="__"
    )()
    rows: list[tuple[str, Any, str, str]] = []

    def walk(model: BaseModel, prefix: tuple[str, ...]) -> None:
        for name, field in type(model).model_fields.items():
            value, path = getattr(model, name), (*prefix, name)
            if isinstance(value, BaseModel):
                walk(value, path)
                continue
            origin = "default"
            if _holds(in_environment, path):
                origin = "environment"
            elif _holds(in_file, path):
                origin = str(file)
            rows.append((".".join(path), value, origin, field.description or ""))

    walk(settings, ())
    return rows


def _holds(tree: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    node: Any = tree
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True
