"""Settings: the promised defaults, the flags made of them, and values that are refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from anime_bert4rec.command_line.flags import ScriptSettings, group, read_flags
from anime_bert4rec.support.errors import SettingError
from config import (
    PROJECT_DIR,
    AniListSettings,
    CatalogueSettings,
    DrawingSettings,
    LocalTaskSettings,
    PathSettings,
    PersonSettings,
    RecommendationSettings,
    ResumeSettings,
    TrainingSettings,
    UserListSettings,
    WishSettings,
)


def parsed(settings, *argv):
    fields = [("one", settings, group("flags"))]
    script = dataclasses.make_dataclass("Script", fields, bases=(ScriptSettings,), frozen=True, kw_only=True)
    return read_flags(argv, script).one


def test_the_promised_defaults():
    assert parsed(CatalogueSettings) == CatalogueSettings(count=3000, sort="POPULARITY_DESC")
    assert parsed(UserListSettings) == UserListSettings(file=PROJECT_DIR / "datas_user.txt", min_anime=20)
    promised = {
        "epochs": 200,
        "batch_size": 64,
        "lr": 0.001,
        "val_ratio": 0.1,
        "hidden_size": 256,
        "num_layers": 2,
        "num_heads": 4,
        "max_seq_len": 200,
        "dropout": 0.1,
        "seed": 42,
        "use_gpu": True,
        "use_fp16": False,
        "num_workers": 0,
        "mask_prob": 0.15,
    }
    assert promised.items() <= dataclasses.asdict(parsed(TrainingSettings)).items()


def test_flags_set_what_they_name():
    settings = parsed(TrainingSettings, "--batch-size", "8", "--lr", "0.5", "--fp16", "--no-gpu")
    assert (settings.batch_size, settings.lr, settings.use_fp16, settings.use_gpu) == (8, 0.5, True, False)
    assert parsed(TrainingSettings, "--gpu").use_gpu


@pytest.mark.parametrize(
    ("settings", "flag", "value"),
    [
        (TrainingSettings, "--epochs", "0"),
        (TrainingSettings, "--epochs", "many"),
        (TrainingSettings, "--epoch-count", "1"),
        (TrainingSettings, "--batch-size", "-1"),
        (TrainingSettings, "--lr", "0"),
        (TrainingSettings, "--lr", "nan"),
        (TrainingSettings, "--lr", "inf"),
        (TrainingSettings, "--val-ratio", "1.5"),
        (TrainingSettings, "--val-ratio", "0"),
        (TrainingSettings, "--dropout", "1"),
        (TrainingSettings, "--hidden-size", "255"),
        (TrainingSettings, "--num-heads", "3"),
        (TrainingSettings, "--max-seq-len", "1"),
        (TrainingSettings, "--seed", "-1"),
        (CatalogueSettings, "--count", "-1"),
        (CatalogueSettings, "--sort", "BEST_FIRST"),
        (UserListSettings, "--min-anime", "0"),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_the_flag(settings, flag, value):
    with pytest.raises(SettingError) as error:
        parsed(settings, f"{flag}={value}")
    assert flag in str(error.value) or flag == "--num-heads"
    assert "\n" not in str(error.value)


def test_the_sandbox_has_files_of_its_own():
    real, made_up = PathSettings(), PathSettings(sandbox=True)
    assert real.database_file == PROJECT_DIR / "data" / "bert.db"
    assert made_up.database_file == PROJECT_DIR / "data" / "sandbox.db"
    assert (real.output, made_up.output) == (PROJECT_DIR / "output", PROJECT_DIR / "output" / "sandbox")
    assert real.training_log == PROJECT_DIR / "training.log"
    assert made_up.training_log == PROJECT_DIR / "output" / "sandbox" / "training.log"


def test_paths_do_not_depend_on_the_working_folder(tmp_path, monkeypatch):
    before = PathSettings().database_file
    monkeypatch.chdir(tmp_path)
    assert PathSettings().database_file == before
    assert parsed(PathSettings, "--db", "here.db").database_file == Path("here.db")


def test_flags_that_may_be_repeated():
    person = parsed(PersonSettings, "--anime", "1", "5", "--title", "cowboy bebop", "--anime", "20", "--title", "x")
    assert person == PersonSettings(anime=(1, 5, 20), title=("cowboy bebop", "x"))
    assert parsed(PersonSettings) == parsed(PersonSettings) == PersonSettings()


SETTINGS = (AniListSettings, CatalogueSettings, UserListSettings, TrainingSettings, ResumeSettings, PersonSettings)
SETTINGS += (RecommendationSettings, WishSettings, DrawingSettings)
HUGE = ("1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 400, "9" * 5000, "1e400", "nan", "inf", "-inf", "-1e30", "1e30")
NUMBERS = [
    (settings, "--" + field.name.replace("_", "-"))
    for settings in SETTINGS
    for field in dataclasses.fields(settings)
    if field.type in ("int", "float", "tuple[int, ...]") and field.metadata["help"]
]


CHOICES = [field for settings in SETTINGS for field in dataclasses.fields(settings) if field.metadata["choices"]]


@pytest.mark.parametrize("field", CHOICES, ids=[field.name for field in CHOICES])
def test_the_help_of_a_flag_names_the_values_that_it_takes(field):
    named = set(re.findall(r"\w+", field.metadata["help"]))
    assert {choice.removesuffix("_DESC") for choice in field.metadata["choices"]} <= named


@pytest.mark.parametrize(("settings", "flag"), NUMBERS)
def test_every_number_has_limits_and_its_error_names_the_flag(settings, flag):
    for value in HUGE:
        with pytest.raises(SettingError, match=f"^{flag}[ :]"):
            parsed(settings, f"{flag}={value}")


def test_numbers_were_found():
    assert ("--epochs" in {flag for _, flag in NUMBERS}) and len(NUMBERS) >= 18


def test_text_that_is_none_is_refused_but_not_in_paths():
    with pytest.raises(SettingError, match=r"^--user must be text"):
        parsed(PersonSettings, "--user", "\udcff\udcfe")
    with pytest.raises(SettingError, match=r"^--genre must be text"):
        parsed(WishSettings, "--genre", "Drama", "--genre", "\udcff")
    assert parsed(PathSettings, "--db", "caf\udce9.db").database_file == Path("caf\udce9.db")


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        (PersonSettings, "--title"),
        (PersonSettings, "--similar-to"),
        (PersonSettings, "--compare-with"),
        (RecommendationSettings, "--at"),
        (RecommendationSettings, "--html"),
        (WishSettings, "--hide"),
        (WishSettings, "--year"),
        (LocalTaskSettings, "--columns"),
        (LocalTaskSettings, "--remove"),
        (DrawingSettings, "--user"),
        (PathSettings, "--db"),
    ],
)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_refused(settings, flag, value):
    with pytest.raises(SettingError, match=f"^{flag}: a value is needed, and it is empty"):
        parsed(settings, flag, value)
    assert parsed(settings) == settings()


@pytest.mark.parametrize(("settings", "flag"), [(RecommendationSettings, "-o"), (RecommendationSettings, "--html")])
def test_a_dash_is_no_file(settings, flag):
    with pytest.raises(SettingError, match="a file is needed, and - is none"):
        parsed(settings, f"{flag}=-" if flag.startswith("--") else f"{flag}-")
    assert parsed(settings, "--html=./-").html == Path("-")


_QUOTES = "belongs to no flag: several words that are one value need double quotes (--help shows all flags)"


@pytest.mark.parametrize(
    ("settings", "argv", "message"),
    [
        (TrainingSettings, ["--epoch", "3"], "there is no flag --epoch: is --epochs meant? (--help shows all flags)"),
        (TrainingSettings, ["--epoch=3"], "there is no flag --epoch: is --epochs meant? (--help shows all flags)"),
        (TrainingSettings, ["--zzzz"], "unrecognized arguments: --zzzz (--help shows all flags)"),
        (TrainingSettings, ["bebop"], f"bebop {_QUOTES}"),
        (TrainingSettings, ["--epochs", "3", "bebop", "--zzzz"], f"bebop {_QUOTES}"),
        (LocalTaskSettings, ["--csv", "a", "--mal-xml", "b"], "--csv and --mal-xml cannot be used together"),
        (DrawingSettings, ["--compare", "a", "b", "--metrics", "c"], "--compare and --metrics cannot be used together"),
    ],
)
def test_flags_are_not_abbreviated_and_exclude_each_other(settings, argv, message):
    with pytest.raises(SettingError) as error:
        parsed(settings, *argv)
    assert str(error.value) == message
