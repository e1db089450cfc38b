"""hygiene.yaml: where things are and how far they may go.

Every key has a working default; an unknown key is an error that names the nearest right one.
Rules of the domain (survivorship, linkage, cash) are files of their own, named from here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.time_zones import TimeZone
from crm_hygiene.yaml_file import read_yaml_file
from crm_hygiene.yaml_mistakes import explained

DEFAULT_NAME = "hygiene.yaml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LandingConfig(_Section):
    """Where exports arrive, and which files there are not exports."""

    folder: Path = Path("landing")
    ignore: tuple[str, ...] = (
        "README*",
        "LICENSE*",
        "*.md",
        "*.tmp",
        "*.part",
        "*.crdownload",
        "~*",
        ".*",
        "*/.*",
    )


class LakeConfig(_Section):
    """The lake: a path or an s3://, gs:// or az:// address, with options for the object store.

    A value of an option may name secrets as `${NAME}` (`lake_options`). For an object store, `local_folder`
    is where the files are that must be on this machine: catalog, charts, report, lineage events.
    """

    uri: str = Field(default="lake", min_length=1)
    storage_options: dict[str, str] = Field(default_factory=dict, repr=False)
    local_folder: Path = Path()


class SourcesConfig(_Section):
    """Folders of the user's own source mappings, read beside the built-in ones; sources to leave out."""

    folders: tuple[Path, ...] = ()
    disabled: tuple[str, ...] = ()


class RulesConfig(_Section):
    """The user's own rules files; each overrides the built-in default of its kind."""

    survivorship: Path | None = None
    linkage: Path | None = None
    cash: Path | None = None
    lead_score: Path | None = None
    leads: Path | None = None
    consent: Path | None = None


# Powers of a thousand; KiB, MiB and so on are those of 1024.
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class LimitsConfig(_Section):
    """Bounds, and the user's own limits on quality metrics.

    `memory` is what a step that works in parts may take for them: DuckDB's in linkage and in the catalog,
    beyond which it spills, and that of the entities golden holds at a time. What a step has to know of
    everybody comes on top. `threads` are DuckDB's.
    """

    memory: str = Field(default="2GB", pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B)$")
    threads: int = Field(default=2, ge=1)
    quality: Path | None = None

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes; GB are powers of ten, GiB of two."""
        number, unit, binary = re.findall(r"([0-9.]+) ?([KMGT]?)(i?)B", self.memory)[0]
        return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit])


class SparkConfig(_Section):
    """Spark, where `engine: spark` links on it.

    `master` is `local[2]`, two cores of this machine, or a cluster's, as `spark://host:7077`. `memory` is the
    heap of this machine's Java process and of each worker's, as Java writes it. `work_folder` is where tables
    are handed over; with a cluster it has the same path on this machine and the workers. `settings` are
    any others of Spark's, by name; they win.
    """

    master: str = Field(default="local[2]", pattern=r"^(local(\[([0-9]+|\*)\])?|spark://\S+|k8s://\S+|yarn)$")
    memory: str = Field(default="2g", pattern=r"^[1-9][0-9]*[mg]$")
    work_folder: Path | None = None
    settings: dict[Annotated[str, Field(pattern=r"^spark\.")], str] = Field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether all of Spark runs in one process on this machine."""
        return self.master.startswith("local")


class CatalogConfig(_Section):
    """The analysts' file: how many days back it tells how a table stood."""

    history_days: int = Field(default=90, ge=0)


class ModelConfig(_Section):
    """How far a linkage model may differ from what is live before promoting it needs a reason.

    Shares are 0 to 1, of what is live: entities, records, filled golden cells. The largest entity may hold
    `max_largest_growth` times the records of the largest one now. Labels count from at least
    `least_labelled_entities` entities: on the truth file the lower end of the precision's 95 % interval
    must reach `min_label_precision`, and on each set of labels precision may be `max_precision_loss` below
    that of what is live.
    """

    max_merged_share: float = Field(default=0.02, ge=0, le=1)
    max_split_share: float = Field(default=0.01, ge=0, le=1)
    max_moved_share: float = Field(default=0.02, ge=0, le=1)
    max_golden_share: float = Field(default=0.02, ge=0, le=1)
    max_largest_growth: float = Field(default=2.0, ge=1)
    max_contradicted_judgements: int = Field(default=0, ge=0)
    min_label_precision: float = Field(default=0.9, ge=0, le=1)
    max_precision_loss: float = Field(default=0.02, ge=0, le=1)
    least_labelled_entities: int = Field(default=50, ge=1)


class LineageConfig(_Section):
    """Where OpenLineage events of the night go: a file per run in the lake, and an HTTP endpoint.

    The newest `keep_files` files are kept. The endpoint takes one event per POST, e.g.
    https://marquez.example.com/api/v1/lineage; if it does not answer in time the night goes on without it.
    """

    file: bool = True
    keep_files: int = Field(default=30, ge=1)
    http_url: str | None = Field(default=None, pattern=r"^https?://")
    timeout_seconds: float = Field(default=5, gt=0, le=60)
    namespace: str = Field(default="crm-hygiene", min_length=1)


class UpkeepConfig(_Section):
    """When the lake is tidied, and what stays.

    A version can be looked back to for `keep_days` days. Files below half of `target_file_megabytes` are
    small; a table with `least_small_files` of them is compacted. `z_order` names tables to be sorted by
    columns that queries filter on, as {golden.provenance: [entity_id]}; docs/upkeep.md says when that gains.
    """

    cron: str = "0 12 * * 0"
    keep_days: int = Field(default=30, ge=1)
    target_file_megabytes: int = Field(default=128, ge=1)
    least_small_files: int = Field(default=8, ge=2)
    z_order: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class ScheduleConfig(_Section):
    """When Dagster starts the night."""

    cron: str = "0 2 * * *"
    timezone: TimeZone = "UTC"


class Config(_Section):
    """All of hygiene.yaml. Relative paths are taken from the folder of the file."""

    landing: LandingConfig = LandingConfig()
    lake: LakeConfig = LakeConfig()
    sources: SourcesConfig = SourcesConfig()
    rules: RulesConfig = RulesConfig()
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark: SparkConfig = SparkConfig()
    limits: LimitsConfig = LimitsConfig()
    catalog: CatalogConfig = CatalogConfig()
    model: ModelConfig = ModelConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    upkeep: UpkeepConfig = UpkeepConfig()
    lineage: LineageConfig = LineageConfig()
    targets: tuple[str, ...] = ("salesforce", "hubspot", "dynamics")
    target_files: tuple[Path, ...] = ()
    secrets_file: Path | None = None
    base: Path = Field(default_factory=Path.cwd, exclude=True)

    def resolve(self, path: Path) -> Path:
        """`path` as seen from the folder of hygiene.yaml."""
        return path if path.is_absolute() else (self.base / path)

    @property
    def landing_folder(self) -> Path:
        """Absolute path of the landing folder."""
        return self.resolve(self.landing.folder)

    @property
    def lake_uri(self) -> str:
        """Address of the lake, made absolute where it is a path."""
        return self.lake.uri if "://" in self.lake.uri else str(self.resolve(Path(self.lake.uri)))

    @property
    def local_folder(self) -> Path:
        """Where files are that are no tables: the lake's folder, or `lake.local_folder` for a store."""
        return self.resolve(self.lake.local_folder) if "://" in self.lake.uri else Path(self.lake_uri)

    @property
    def catalog_path(self) -> Path:
        """The DuckDB file for analysts."""
        return self.local_folder / "catalog.duckdb"


def load_config(path: Path | None = None) -> Config:
    """Read hygiene.yaml; without a path, `hygiene.yaml` here, or the defaults where there is none.

    Raises
    ------
    ConfigurationError
        if the file is missing, is no YAML, or has an unknown key or a wrong value.
    """
    if path is None:
        path = Path(DEFAULT_NAME)
        if not path.exists():
            return Config(base=Path.cwd())
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; `--config` names a hygiene.yaml")
    file = read_yaml_file(path)
    if "base" in file.content:
        raise ConfigurationError(f"{file.at(('base',))}: unknown key 'base'")
    try:
        return Config.model_validate({**file.content, "base": path.resolve().parent})
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, Config))) from error
