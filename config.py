"""Every setting and path of the project. The scripts' flags are built from these dataclasses and from nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from anime_bert4rec.command_line.flags import Checked, setting
from anime_bert4rec.command_line.recommendation_settings import PersonSettings, RecommendationSettings, WishSettings
from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.support.errors import SettingError
from anime_bert4rec.support.text import as_flag

__all__ = ["PersonSettings", "RecommendationSettings", "WishSettings"]

PROJECT_DIR = Path(__file__).resolve().parent
PROJECT_NAME = "anime-bert4rec"
ANILIST_TERMS = "docs.anilist.co/guide/terms-of-use"

CATALOGUE_SORTS = tuple(
    f"{key}{direction}"
    for key in ("POPULARITY", "SCORE", "TRENDING", "FAVOURITES", "START_DATE", "UPDATED_AT", "EPISODES", "ID")
    for direction in ("_DESC", "")
)


@dataclass(frozen=True, kw_only=True)
class SandboxSettings(Checked):
    """Whether the real AniList or the made-up one is meant. Either has files of its own."""

    sandbox: bool = setting(False, "use the made-up AniList: offline, the same every time, in files of its own")


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings(SandboxSettings):
    """Where the database is. Paths do not depend on the folder that a script is started from."""

    db: Path | None = setting(
        None, "the SQLite file (default: data/bert.db, with --sandbox data/sandbox.db)", metavar="PATH"
    )

    @property
    def database_file(self) -> Path:
        return self.db or PROJECT_DIR / "data" / ("sandbox.db" if self.sandbox else "bert.db")

    @property
    def database_flags(self) -> str:
        """What another script's command line needs to use the same database, ready to follow the script's name."""
        return (" --sandbox" if self.sandbox else "") + (as_flag("--db", self.db) if self.db else "")

    @property
    def as_flags(self) -> str:
        """The same for all files that are in use."""
        return self.database_flags

    def in_commands(self, text: str) -> str:
        """The text with these flags in its commands, such as `python train_model.py`."""

        def with_flags(command: re.Match[str]) -> str:
            only_database = command[1] in ("prepare_dataset", "load_users")
            return command[0] + (self.database_flags if only_database else self.as_flags)

        return re.sub(r"\bpython (\w+)\.py\b(?! -)", with_flags, text)


@dataclass(frozen=True, kw_only=True)
class OutputSettings(SandboxSettings, RunFolder):
    """Where training puts what it makes. RunFolder has the names of what is in that folder."""

    output_dir: Path | None = setting(
        None,
        "where everything that training makes goes (default: output, with --sandbox output/sandbox)",
        metavar="DIR",
    )

    @property
    def output(self) -> Path:
        return self.output_dir or PROJECT_DIR / "output" / ("sandbox" if self.sandbox else "")

    @property
    def training_log(self) -> Path:
        """The log of all runs: at the top of the project for the real output, beside any other output."""
        return (PROJECT_DIR if self.output == PROJECT_DIR / "output" else self.output) / "training.log"


@dataclass(frozen=True, kw_only=True)
class PathSettings(DatabaseSettings, OutputSettings):
    """The database and the output folder, for the scripts that need both."""

    @property
    def as_flags(self) -> str:
        return self.database_flags + (as_flag("--output-dir", self.output_dir) if self.output_dir else "")


@dataclass(frozen=True, kw_only=True)
class AniListSettings(Checked):
    """How AniList is asked."""

    api_url: str | None = setting(
        None,
        "another address than AniList's (default: $ANILIST_API_URL, else https://graphql.anilist.co)",
        metavar="URL",
    )
    requests_per_minute: int = setting(
        30,
        "the fastest pace; AniList's own limit lowers it further; 0: no pacing",
        at_least=0,
        at_most=100_000,
        metavar="N",
    )
    referer: str = setting(
        "", "a Referer header that truthfully says who asks, such as your own project's page", metavar="URL"
    )
    timeout: float = setting(
        30.0, "seconds to wait for an answer before a request is tried again", above=0, at_most=86_400, metavar="S"
    )


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings(Checked):
    """Which anime are fetched."""

    count: int = setting(3000, "how many anime to fetch", at_least=1, at_most=1_000_000, metavar="N")
    sort: str = setting(
        "POPULARITY_DESC",
        "AniList's sort order that decides which: POPULARITY, SCORE, TRENDING, FAVOURITES, START_DATE, UPDATED_AT,"
        " EPISODES or ID, with _DESC from the highest down",
        choices=CATALOGUE_SORTS,
        metavar="SORT",
    )


@dataclass(frozen=True, kw_only=True)
class UserListSettings(Checked):
    """Whose lists are fetched, and how long a list must be."""

    file: Path = setting(
        PROJECT_DIR / "datas_user.txt", "the AniList names, one a line (default: datas_user.txt)", metavar="PATH"
    )
    min_anime: int = setting(
        20, "leave out users with fewer known, watched anime", at_least=1, at_most=1_000_000, metavar="N"
    )
    refresh: bool = setting(False, "fetch lists again that were fetched within the last 7 days")


@dataclass(frozen=True, kw_only=True)
class LocalTaskSettings(Checked):
    """What is done with the database without asking AniList: lists from files stored, or people taken out again."""

    csv: Path | None = setting(
        None,
        "store the lists of a CSV file, packed or not, and ask AniList nothing",
        metavar="FILE",
        exclusive="task",
    )
    columns: str = setting(
        "", "what its columns are, if its first line doesn't say: user,mal_id,-,score (-: any other)", metavar="NAMES"
    )
    source: str = setting(
        "",
        "the name of the collection that the file of --csv is of (default: the file's, without date and packing)",
        metavar="NAME",
    )
    mal_xml: Path | None = setting(
        None, "store the list of MyAnimeList's own export, packed or not", metavar="FILE", exclusive="task"
    )
    keep_names: bool = setting(False, "store the names in these files, otherwise only a hash of each")
    remove: tuple[str, ...] = setting(
        (),
        "take these people out of the database, and ask AniList nothing",
        metavar="NAME",
        several=True,
        exclusive="task",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns and not self.csv:
            raise SettingError("--columns needs --csv")
        if self.source and not self.csv:
            raise SettingError("--source needs --csv")
        if self.keep_names and not (self.csv or self.mal_xml):
            raise SettingError("--keep-names needs --csv or --mal-xml")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Checked):
    """The model and its training."""

    epochs: int = setting(200, "passes over the training users", at_least=1, at_most=1_000_000, metavar="N")
    batch_size: int = setting(64, "users in a batch", at_least=1, at_most=1_000_000, metavar="N")
    lr: float = setting(0.001, "learning rate", above=0, at_most=100, metavar="X")
    val_ratio: float = setting(0.1, "share of the users kept for validation", above=0, below=1, metavar="X")
    hidden_size: int = setting(
        256, "width of the model, a multiple of the heads", at_least=1, at_most=1_000_000, metavar="N"
    )
    num_layers: int = setting(2, "Transformer layers", at_least=1, at_most=1_000, metavar="N")
    num_heads: int = setting(4, "attention heads of a layer", at_least=1, at_most=10_000, metavar="N")
    max_seq_len: int = setting(
        200, "anime of one list that the model sees at once", at_least=2, at_most=1_000_000, metavar="N"
    )
    dropout: float = setting(0.1, "share of activations dropped while training", at_least=0, below=1, metavar="X")
    use_gpu: bool = setting(True, "train on an NVIDIA GPU when there is one", flag="--gpu")
    use_fp16: bool = setting(False, "mixed precision on a GPU: faster, and less memory", flag="--fp16")
    precision: str = setting(
        "auto",
        "numbers to multiply matrices in: fp32, bf16, which newer CPUs are faster in, or auto: what is faster here",
        choices=("auto", "fp32", "bf16"),
        metavar="WHICH",
    )
    seed: int = setting(
        42,
        "the same seed on the same machine, with as many threads, gives the same numbers, on a CPU to the last digit",
        at_least=0,
        at_most=2**32 - 1,
        metavar="N",
    )
    split_seed: int | None = setting(
        None,
        "which people are kept for validation, whatever --seed is (default: as --seed has it)",
        at_least=0,
        at_most=2**32 - 1,
        metavar="N",
    )
    num_workers: int = setting(
        0, "processes that prepare batches; 0: the training process itself", at_least=0, at_most=1_000, metavar="N"
    )
    mask_prob: float = setting(
        0.15, "share of a list that is masked, of those that are shown whole", above=0, below=1, metavar="X"
    )
    memory: bool = setting(True, "start from an item-to-item memory; without it, the network has to learn everything")
    patience: int = setting(
        20,
        "stop after this many epochs in a row without a lower validation loss; 0: never",
        at_least=0,
        at_most=1_000_000,
        metavar="N",
    )
    evaluate: bool = setting(True, "end with what evaluate.py does: how well it ranks, beside baselines")
    cut_share: float = setting(0.7, at_least=0, at_most=1)
    """The share of the batches of lists with an order that ask what comes next instead of what is between."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_fp16 and self.precision != "auto":
            raise SettingError(f"--fp16 and --precision {self.precision} cannot be used together")
        if self.hidden_size % self.num_heads:
            raise SettingError(
                f"--hidden-size must be a multiple of --num-heads: {self.hidden_size} is not one of {self.num_heads}"
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Checked):
    """Who is asked."""

    newcomers: bool = setting(False, "ask also those who have come into the database after the training")


@dataclass(frozen=True, kw_only=True)
class DrawingSettings(Checked):
    """What is drawn."""

    metrics: Path | None = setting(
        None,
        "draw only the curves of this file (default: all plots, of the output folder)",
        metavar="FILE",
        exclusive="curves",
    )
    compare: tuple[Path, ...] = setting(
        (),
        "draw these runs over each other instead; each is an output folder or a training_metrics.json",
        metavar="RUN",
        several=True,
        exclusive="curves",
    )
    user: str = setting(
        "", "light up the list of this person, who is in the database, on the map of report.html", metavar="NAME"
    )
    language: str | None = setting(
        None,
        "of titles: romaji, english or native (default: english in the picture of the map, romaji on the page)",
        choices=("romaji", "english", "native"),
        metavar="LANGUAGE",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, is_given in {"--user": self.user, "--language": self.language}.items():
            if is_given and (self.metrics or self.compare):
                raise SettingError(f"{flag} is about the map of the output folder: not with --metrics or --compare")


NEWEST = Path("\0")
"""The value of --resume without a file: the newest good checkpoint is meant. No file can have this name."""


@dataclass(frozen=True, kw_only=True)
class ResumeSettings(Checked):
    """How a run goes on after an interruption, or from an earlier one."""

    resume: Path | None = setting(
        None,
        "go on from a checkpoint, with the same flags as before, of which --epochs and --lr may change (without a file:"
        " from the newest good one)",
        metavar="CHECKPOINT",
        without_value=NEWEST,
    )
    from_model: Path | None = setting(
        None,
        "begin with the model of this output folder, for lists and anime that are new since; train fewer --epochs then",
        metavar="DIR",
    )
    keep_checkpoints: int = setting(
        0,
        "how many of the checkpoints of every tenth epoch are kept; 0: all",
        at_least=0,
        at_most=1_000_000,
        metavar="N",
    )
