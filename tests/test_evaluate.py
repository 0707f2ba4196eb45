"""Evaluations of really trained models, and of scorers whose answers are known."""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3

import numpy as np
import pytest
from small_runs import draw_nothing
from test_terminal_escapes import HOSTILE, harmless

import evaluate
import train_model
from anime_bert4rec.evaluation import tuning
from anime_bert4rec.evaluation.baselines import EASE
from anime_bert4rec.evaluation.measuring import MODEL
from anime_bert4rec.evaluation.questions import FOLD_IN, NEXT_ITEM, ask
from anime_bert4rec.evaluation.report import tables
from anime_bert4rec.evaluation.trained_run import load_run
from anime_bert4rec.evaluation.tuning import GRIDS, tune
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.model.training_data import load_data
from config import TrainingSettings
from evaluate import answers_of

pytestmark = pytest.mark.usefixtures("fitted_once")

SMALL = ["--val-ratio=0.3", "--hidden-size=16", "--num-heads=2", "--max-seq-len=30", "--batch-size=16", "--epochs=2"]


def train(db, output, *flags):
    return train_model.main(["--sandbox", "--db", str(db), "--output-dir", str(output), *SMALL, *flags])


@pytest.fixture(scope="module")
def trained(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")
    assert train(db, output) == 0
    return output


@pytest.fixture(scope="module")
def run(trained):
    return load_run(trained / "models")


def copy_of(trained, tmp_path):
    for name in ("training_config.json", "best_model.pth", "item_mappings.pkl"):
        target = tmp_path / "models" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((trained / "models" / name).read_bytes())
    return tmp_path / "models"


def test_training_ends_with_it(trained, capsys):
    assert (trained / "plots" / "ranking_comparison.png").read_bytes().startswith(b"\x89PNG")
    first = json.loads((trained / "evaluation.json").read_text())
    assert evaluate.main(["--output-dir", str(trained)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.split("\n\nThe numbers")[0].splitlines())) <= 80
    assert first["sentence"] in " ".join(out.split())
    assert out.startswith((trained / "evaluation.txt").read_text(encoding="utf-8"))
    assert out.endswith(f"\nThe page:    {trained / 'report.html'}, once visualize.py has written it anew\n")
    assert json.loads((trained / "evaluation.json").read_text()) == first, "the same again"


def test_the_json_has_every_number(trained):
    found = json.loads((trained / "evaluation.json").read_text())
    both = (["next item", "next item, new ground"], ["fold-in", "fold-in, new ground"])
    assert list(found["tasks"]) == [*both[0], "given 3", "given 10", *both[1]]
    for task in found["tasks"].values():
        assert list(task["contenders"]) == [MODEL, "popularity", "item-kNN", "EASE", "Markov chain"]
        for each in task["contenders"].values():
            assert set(each) == {f"{m}@{k}" for m in ("hr", "ndcg", "recall") for k in (5, 10, 20)} | {
                "mrr", "popularity", "coverage",
            }  # fmt: skip
            assert 0 < each["coverage"] <= 1 and 0 <= each["mrr"]["mean"] <= 1 and each["popularity"]["error"] >= 0
        baselines = {n: c["ndcg@10"]["mean"] for n, c in task["contenders"].items() if n != MODEL}
        assert task["verdict"]["best_baseline"] == max(baselines, key=baselines.get)
        gained = task["contenders"][MODEL]["ndcg@10"]["mean"] - max(baselines.values())
        assert task["verdict"]["difference"] == pytest.approx(gained)
    assert found["users_val"] == round(0.3 * (found["users_train"] + found["users_val"]))
    assert set(found["shuffle_gap"]) == {"next item", "fold-in"}


def test_the_numbers_equal_those_of_an_independent_way(run, trained):
    """Fold-in, popularity: counted here without the modules under test."""
    counts = np.bincount(run.data.training.items, minlength=301)[1:]
    ndcg, shares = [], []
    for user in range(len(run.data.validation)):
        items = run.data.validation.of_user(user)
        task = ask(run.data.validation, run.seed)[FOLD_IN]
        known, hidden = task.histories[user], set(task.targets[user].tolist())
        assert set(known.tolist()) | hidden == set(items.tolist())
        # Ties against the model: targets come after everything else that is as popular.
        order = sorted(set(range(1, 301)) - set(known.tolist()), key=lambda i: (-counts[i - 1], i in hidden))
        gain = sum(1 / math.log2(place + 2) for place, item in enumerate(order[:10]) if item in hidden)
        ndcg.append(gain / sum(1 / math.log2(place + 2) for place in range(min(10, len(hidden)))))
        shares.append(np.mean([counts[item - 1] for item in order[:10]]) / len(run.data.training))
    found = json.loads((trained / "evaluation.json").read_text())["tasks"]["fold-in"]["contenders"]["popularity"]
    assert found["ndcg@10"]["mean"] == pytest.approx(np.mean(ndcg))
    assert found["ndcg@10"]["error"] == pytest.approx(np.std(ndcg, ddof=1) / math.sqrt(len(ndcg)))
    assert found["popularity"]["mean"] == pytest.approx(np.mean(shares)), "on what share of the training lists it is"


def test_new_ground_is_without_what_belongs_to_something_watched(run, trained):
    """Neither asked for nor suggested; counted here without the modules under test."""
    counts = np.bincount(run.data.training.items, minlength=301)[1:]
    task = ask(run.data.validation, run.seed)[FOLD_IN]
    gains, targets = [], 0
    for known, wanted in zip(task.histories, task.targets, strict=True):
        watched = set(run.franchise[known].tolist())
        hidden = {item for item in wanted.tolist() if run.franchise[item] not in watched}
        if not hidden:
            continue
        candidates = [item for item in range(1, 301) if run.franchise[item] not in watched]
        order = sorted(candidates, key=lambda i: (-counts[i - 1], i in hidden))
        first = next(place for place, item in enumerate(order) if item in hidden)
        gains.append(1 / (first + 1))
        targets += len(hidden)
    found = json.loads((trained / "evaluation.json").read_text())["tasks"]
    fresh, every = found["fold-in, new ground"], found["fold-in"]
    assert fresh["contenders"]["popularity"]["mrr"]["mean"] == pytest.approx(np.mean(gains))
    assert (fresh["users"], fresh["targets"]) == (len(gains), targets)
    assert fresh["targets"] < every["targets"] == task.num_targets, "some of what is asked for are sequels"


def test_only_users_whom_training_never_saw_are_asked(db, run, monkeypatch):
    """The model is trained on load_data(...).training, so those who are asked must be the others; the baselines too."""
    data = load_data(db, TrainingSettings(val_ratio=0.3))
    asked, fitted_on = [], []
    monkeypatch.setattr(evaluate, "ModelScorer", lambda _: lambda h: asked.extend(h) or np.zeros((len(h), 300)))
    fit = EASE.fit

    def fit_and_note(self, sequences, num_items):
        fitted_on.append({tuple(sequences.of_user(u)) for u in range(len(sequences))})
        return fit(self, sequences, num_items)

    monkeypatch.setattr(EASE, "fit", fit_and_note)
    answers_of(run)
    trained_on = {tuple(data.training.of_user(u)) for u in range(len(data.training))}
    validation = [set(data.validation.of_user(u).tolist()) for u in range(len(data.validation))]

    def of_validation(histories):
        return [any(set(history.tolist()) <= whole for whole in validation) for history in histories]

    assert len(asked) > 2 * len(validation) and all(of_validation(asked))
    tasks = ask(data.training, run.seed)
    assert not all(of_validation(tasks[FOLD_IN].histories)), "asking those who were trained on would show"
    assert fitted_on and all(lists <= trained_on for lists in fitted_on)
    assert trained_on in fitted_on, "in the end the baselines are fitted on all of them"


def test_settings_are_chosen_on_training_users_alone(run, monkeypatch):
    seen = []

    choose = tuning.choose_for_each

    def note(grid, training, num_items, questions, of_sets):
        seen.append((training, questions))
        return choose(grid, training, num_items, questions, of_sets)

    monkeypatch.setattr(tuning, "choose_for_each", note)
    grids = {"Markov chain": GRIDS["Markov chain"]}
    tune(run.data.training, 300, (NEXT_ITEM, FOLD_IN), run.seed, grids)
    ((fitted_on, questions),) = seen
    users = [set(run.data.training.of_user(u).tolist()) for u in range(len(run.data.training))]
    fitted = [set(fitted_on.of_user(u).tolist()) for u in range(len(fitted_on))]
    asked = [
        set(h.tolist()) | set(t.tolist())
        for histories, targets in questions[1:]
        for h, t in zip(histories, targets, strict=True)
    ]
    assert len(fitted) + len(asked) == len(users)
    assert all(a in users and a not in fitted for a in asked)


def test_a_task_that_nobody_can_be_asked_is_said_and_skipped(run):
    training, validation = (
        dataclasses.replace(part, blocks=np.zeros_like(part.blocks))
        for part in (run.data.training, run.data.validation)
    )
    data = dataclasses.replace(run.data, training=training, validation=validation)
    answers = answers_of(dataclasses.replace(run, data=data))
    assert list(answers.in_full) == [FOLD_IN] and NEXT_ITEM not in answers.tasks
    assert "date" in answers.skipped[NEXT_ITEM]
    assert "\nNext item was left out: no list has" in tables(answers, run.since)


def test_without_evaluation_none_is_made(db, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    assert train(db, tmp_path, "--no-evaluate", "--epochs", "1") == 0
    assert not (tmp_path / "evaluation.json").exists()
    assert not (tmp_path / "plots" / "ranking_comparison.png").exists()


def test_an_evaluation_goes_when_another_model_is_the_best(db, tmp_path, capsys):
    """A run that goes on finds a better model: what was said of the one before is not said of it."""
    plain = ("--no-memory", "--lr", "0.01")  # of which each epoch is better than the one before
    assert train(db, tmp_path, *plain, "--epochs", "1") == 0
    assert train(db, tmp_path, *plain, "--epochs", "1", "--resume", "--no-evaluate") == 0
    assert (tmp_path / "evaluation.json").exists(), "nothing was left to train"
    assert train(db, tmp_path, *plain, "--epochs", "4", "--resume", "--no-evaluate") == 0
    epoch = json.loads((tmp_path / "plots" / "training_metrics.json").read_text())["summary"]["best_epoch"]
    assert epoch > 1, epoch
    for name in ("evaluation.json", "evaluation.txt", "plots/ranking_comparison.png"):
        assert not (tmp_path / name).exists(), name
    assert "evaluation.txt" not in capsys.readouterr().out.rpartition("All of it is in")[2]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("a bug"), 1)])
def test_what_goes_wrong_in_the_evaluation_leaves_the_training_whole(db, tmp_path, capsys, monkeypatch, error, code):
    def fail(*_):
        raise error

    draw_nothing(monkeypatch)
    monkeypatch.setattr(evaluate, "load_run", fail)
    assert train(db, tmp_path, "--epochs", "1") == code
    out, err = capsys.readouterr()
    assert "Best of 1 epoch" in out and "complete and saved" in err
    assert load_model(tmp_path / "models" / "final_model.pth")[1]["epoch"] == 1


def test_a_database_that_has_changed_is_refused(db, trained, tmp_path, capsys):
    copy_of(trained, tmp_path)
    changed = tmp_path / "changed.db"
    with sqlite3.connect(db) as source, sqlite3.connect(changed) as target:
        source.backup(target)
        target.execute("DELETE FROM user WHERE user_id = (SELECT max(user_id) FROM user WHERE left_out IS NULL)")
    source.close()
    target.close()
    assert evaluate.main(["--output-dir", str(tmp_path), "--db", str(changed)]) == 1
    err = capsys.readouterr().err
    assert "has changed since this model was trained" in err and "train_model.py" in err and err.count("\n") == 1
    assert not (tmp_path / "evaluation.json").exists()


def test_a_database_that_was_moved_is_asked_for(db, trained, tmp_path, capsys):
    models = copy_of(trained, tmp_path)
    config = json.loads((models / "training_config.json").read_text())
    (models / "training_config.json").write_text(json.dumps({**config, "database": str(tmp_path / "gone.db")}))
    assert evaluate.main(["--output-dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "gone.db" in err and "--db PATH" in err and err.count("\n") == 1
    assert load_run(models, db).seed == 42


def test_a_model_of_another_split_is_refused(trained, tmp_path, capsys):
    models = copy_of(trained, tmp_path)
    model, _ = load_model(models / "best_model.pth")
    save_model(models / "best_model.pth", model, epoch=1, val_loss=1.0, identity={"data": "another"})
    assert evaluate.main(["--output-dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "is not of the run" in err and err.count("\n") == 1


@pytest.mark.parametrize("config", [None, "[]", "{", '{"seed": 1}', '{"seed": -1, "val_ratio": 0.1}'])
def test_a_config_that_is_missing_or_damaged_is_one_line(trained, tmp_path, capsys, config):
    models = copy_of(trained, tmp_path)
    (models / "training_config.json").unlink()
    if config is not None:
        (models / "training_config.json").write_text(config)
    assert evaluate.main(["--output-dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "training_config.json" in err and "train_model.py" in err and err.count("\n") == 1


def test_what_strangers_wrote_cannot_command_the_terminal(db, trained, tmp_path, capsys):
    copied = copy_of(trained, tmp_path).parent
    copy = tmp_path / "hostile.db"
    copy.write_bytes(db.read_bytes())
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE anime SET title_romaji = ?, format = ?", (HOSTILE, HOSTILE))
    connection.execute("UPDATE anime_genre SET genre = genre || ?", (HOSTILE,))
    connection.execute("UPDATE user SET name = name || ?", (HOSTILE,))
    connection.commit()
    connection.close()
    assert evaluate.main(["--output-dir", str(copied), "--db", str(copy)]) == 0
    assert harmless("".join(capsys.readouterr()))
    assert harmless((copied / "evaluation.json").read_text(encoding="utf-8"))
