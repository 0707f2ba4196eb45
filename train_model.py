"""Train BERT4Rec on the lists in the database, draw the curves, and say how well it ranks beside baselines.

    python train_model.py
    python train_model.py --epochs 50 --hidden-size 128 --batch-size 32
    python train_model.py --resume                                          # with the same flags as before
    python train_model.py --from-model output --epochs 40                   # more lists since the last training
    torchrun --nproc-per-node 2 train_model.py --batch-size 64              # see training/processes.py

Read it from top to bottom: `main` loads the lists, `train` prepares the run, trains, and says how it ended;
`train_epochs` is the loop: for each epoch train, average, validate, record and save.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

# Before torch starts its threads: let them wait without spinning, which costs several times the speed as soon as
# another program uses a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import EXIT_ERROR, log_now, logged_later, logging_to, on_screen, parse, script
from anime_bert4rec.evaluation.masked_baselines import baseline_accuracies
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.gate_fitting import GateFitting
from anime_bert4rec.model.hidden_positions import GIVEN_IN_VALIDATION
from anime_bert4rec.model.masked_metrics import hits_by_row, masked_cross_entropy, ranks, squares_of_rows, top_k_hits
from anime_bert4rec.model.model_files import save_item_mappings
from anime_bert4rec.model.products import multiply_in
from anime_bert4rec.model.run_folder import BEST_MODEL, FINAL_MODEL, ITEM_MAPPINGS
from anime_bert4rec.model.training_data import Data, batches, batches_for_gate, in_this_process, load_data
from anime_bert4rec.model.two_threads import in_halves
from anime_bert4rec.pages.report_page import ReportData
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED, finish_first
from anime_bert4rec.support.text import count_of
from anime_bert4rec.support.whole_files import write_json
from anime_bert4rec.training.batch_loading import check_open_files, each_batch
from anime_bert4rec.training.checkpoints import Checkpoint, CheckpointFiles
from anime_bert4rec.training.epoch_metrics import EpochMetrics, Result, Totals
from anime_bert4rec.training.failures import TrainingFailed, check_sane, naming_what_saves_memory
from anime_bert4rec.training.new_model import build_model, network_for
from anime_bert4rec.training.output_folder import make_folders, move_earlier_run_aside, only_run_in, remove_leftovers
from anime_bert4rec.training.precision import NAMES, choose_device, choose_numbers
from anime_bert4rec.training.processes import (
    ProcessLost,
    from_main,
    is_main,
    naming_a_lost_process,
    one_after_the_other,
    process_rank,
    several_processes,
    world,
)
from anime_bert4rec.training.resume import checkpoint_to_resume, form_of, identity_of, kept_of_run
from anime_bert4rec.training.run_report import (
    describe_data,
    describe_run,
    log_model,
    log_start,
    summarise,
    where_everything_is,
)
from anime_bert4rec.training.training_run import TrainingRun, save_from_checkpoint
from config import NEWEST, PathSettings, ResumeSettings, TrainingSettings
from evaluate import evaluate_the_best
from visualize import plot_all, plot_data, write_report

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    training: TrainingSettings = group("training")
    going_on: ResumeSettings = group("going on")
    paths: PathSettings = group("files")


@script
def main(argv: Sequence[str] | None = None) -> int:
    given = parse(
        argv,
        Settings,
        "Train BERT4Rec on the lists in the database, and draw the curves.",
        epilog="Out of GPU memory? --batch-size 32 --hidden-size 128 --max-seq-len 100. "
        "Several processes? torchrun --nproc-per-node 2 train_model.py …",
    )
    settings, paths, from_model = given.training, given.paths, given.going_on.from_model
    if given.going_on.resume is not None and from_model and from_model.resolve() == paths.output.resolve():
        from_model = paths.newest_moved_aside() or from_model  # what this run began with, it has moved there
    try:
        with naming_what_saves_memory():
            check_open_files(settings.num_workers)
            with several_processes(settings.use_gpu):
                with logged_later(is_main()) as said:
                    data = one_after_the_other(lambda: load_data(paths.database_file, settings, from_model))
                    started = datetime.now()
                    if not is_main():
                        return train(data, given, started)
                log_file = paths.logs / f"train_{started:%Y%m%d_%H%M%S}.log"
                with only_run_in(paths.output), logging_to(paths.training_log, log_file):
                    log_now(said)
                    return train(data, given, started)
    except (KeyboardInterrupt, ProcessLost, TrainingFailed):
        if is_main():
            raise
        return EXIT_ERROR  # what there is to say, the main process says


def train(data: Data, given: Settings, started: datetime) -> int:
    """A whole run, from its first lines in the log to its last on the screen. Returns the exit code."""
    settings, paths, verbose = given.training, given.paths, given.verbosity.verbose
    run, files = prepare(data, settings, given.going_on, paths, started)
    stopped: KeyboardInterrupt | TrainingFailed | ProcessLost | None = None
    with finish_first():  # who asks to stop is obeyed between two batches, by `each_batch`, and nowhere else
        try:
            with naming_a_lost_process():
                train_epochs(run, files, data, settings, paths)
        except (KeyboardInterrupt, TrainingFailed, ProcessLost) as reason:
            stopped = reason
        if is_main():
            save_the_end(run, files, paths, stopped)
    if stopped and (isinstance(stopped, UserError) or not is_main()):
        raise stopped
    if not is_main():
        return 0
    code, shown = EXIT_INTERRUPTED, ReportData()
    if not stopped:
        _, shown = plot_data(paths)
        code = evaluate_the_best(paths, whole=verbose) if settings.evaluate else 0
    if files.newest:
        write_report(paths, shown)
        who = "sandbox0001" if paths.sandbox else "NAME"
        next_command = f"python recommend.py{paths.as_flags} --user {who}"
        print(where_everything_is(paths, paths.training_log, next_command, each_file=verbose))
    return code


def prepare(
    data: Data, settings: TrainingSettings, going_on: ResumeSettings, paths: PathSettings, started: datetime
) -> tuple[TrainingRun, CheckpointFiles]:
    """A run that is ready for its next epoch: a new one, or one that goes on from a checkpoint.

    Nothing is fitted, moved or written before all is checked that can be checked.
    """
    log_start(data, started)
    form, steps_per_epoch = form_of(network_for(data, settings)), len(batches(data.training, data, settings, epoch=1))
    identity = identity_of(asdict(settings), data, form)
    if from_main(identity) != identity:
        raise UserError("not all processes were given the same database and the same flags")
    files, checkpoint = CheckpointFiles(paths.checkpoints, going_on.keep_checkpoints), None
    goes_on, chosen = going_on.resume is not None, None if going_on.resume == NEWEST else going_on.resume
    if is_main():
        remove_leftovers(paths)
        if goes_on:
            checkpoint = checkpoint_to_resume(
                chosen, paths, paths.database_file, identity, data.vocabulary, form, steps_per_epoch
            )
        make_folders(paths)
    checkpoint = from_main(checkpoint)
    fitted, people = kept_of_run(chosen, paths, checkpoint, data) if checkpoint else (None, data.people())
    run = make_run(data, settings, identity, steps_per_epoch, fitted, checkpoint)
    if is_main():
        with finish_first():  # so that no checkpoint to go on from is missing in the folder
            if going_on.resume != NEWEST:
                move_earlier_run_aside(paths, started)
            if checkpoint:
                save_from_checkpoint(checkpoint, run.model, paths.models / BEST_MODEL, best=True)
                files.go_on_from(checkpoint)
    if checkpoint:
        run.restore(checkpoint)
    if is_main():
        if checkpoint:
            write_json(paths.metrics_file, run.metrics.as_dict())
        used = {**asdict(settings), "precision": run.identity["precision"]}
        write_json(paths.config_file, describe_run(used, data, paths.database_file, run.model.config, started))
        people.save(paths.people_file)
        save_item_mappings(paths.models / ITEM_MAPPINGS, data.vocabulary)
        log_model(run.model)
    return run, files


def make_run(
    data: Data,
    settings: TrainingSettings,
    identity: Mapping[str, Any],
    steps_per_epoch: int,
    fitted: BERT4Rec | None,
    checkpoint: Checkpoint | None,
) -> TrainingRun:
    """A run whose model knows what can be known without training, on its device and in its numbers.

    fitted: a model of the run that goes on from the checkpoint, so that nothing is fitted again.
    """
    device, before = choose_device(settings), checkpoint and checkpoint["resume"]["identity"]
    numbers = from_main(choose_numbers(settings, device, before) if is_main() else None)
    model = build_model(data, settings, fitted).to(device)
    multiply_in(numbers, model)
    some = in_this_process(batches(data.validation, data, settings, None), data.one_in)
    metrics = EpochMetrics(settings.epochs, describe_data(data, baseline_accuracies(data, some)))
    identity = {**identity, "precision": NAMES[numbers]}
    return TrainingRun(model, metrics, identity, learning_rate=settings.lr, steps_per_epoch=steps_per_epoch)


def train_epochs(
    run: TrainingRun, files: CheckpointFiles, data: Data, settings: TrainingSettings, paths: PathSettings
) -> None:
    """The epochs that are left, or until the validation loss has not fallen for long.

    Where network and memory together have a higher validation loss than the memory alone, the network has no say.
    """
    fitting, memory_alone = start_of_gate(run, data, settings)
    for epoch in range(run.metrics.epochs_done + 1, settings.epochs + 1):
        if settings.patience and run.metrics.epochs_without_gain >= settings.patience:
            log.info("The validation loss has not fallen for %d epochs: stopping here.", settings.patience)
            return
        clock, learning_rate = time.perf_counter(), run.learning_rate
        training = batches(data.training, data, settings, epoch, process_rank(), world())
        validation = batches(data.validation, data, settings, None, process_rank(), world())

        trained = train_one_epoch(run.parallel, training, run.optimizer, run.schedule, run.scaler)
        run.average.update(run.model)
        with run.average.used_by(run.model):
            run.fit_gate(fitting)
            validated = validate(run.model, validation)
            if memory_alone and memory_alone.loss < validated.loss:
                run.model.silence_network()
                validated = memory_alone
        check_sane(trained, validated, run.model.config.num_items, epoch, learning_rate)
        run.metrics.record(trained, validated, learning_rate, time.perf_counter() - clock)

        if is_main():
            checkpoint = run.snapshot()
            if run.metrics.is_best():
                paths.forget_evaluation()
                run.save_average(paths.models / BEST_MODEL)
            files.save(checkpoint)
            write_json(paths.metrics_file, run.metrics.as_dict())
            log.info(run.metrics.line(), extra=on_screen(run.metrics.short_line(), good=run.metrics.is_best()))


def start_of_gate(run: TrainingRun, data: Data, settings: TrainingSettings) -> tuple[GateFitting | None, Result | None]:
    """What finds after each epoch how much memory and network count for, in the main process, and how good the memory
    is alone. Without a memory there is nothing to find."""
    if run.model.memory is None:
        return None, None
    fitting, device = None, run.model.item_bias.device
    if is_main():
        asked = (batch.to(device) for batch in batches_for_gate(data, settings))
        fitting = GateFitting(run.model, asked, len(data.validation) // data.one_in)
    run.model.silence_network()
    validation = batches(data.validation, data, settings, None, process_rank(), world())
    return fitting, validate(run.model, validation)


def save_the_end(run: TrainingRun, files: CheckpointFiles, paths: PathSettings, stopped: BaseException | None) -> None:
    """What the run has come to, at its last whole epoch: checkpoint, final model, plots and summary."""
    if stopped:
        done = run.metrics.epochs_done
        kept = f"; {count_of(done, 'epoch')} before it kept" if done else ", before any was whole"
        log.warning("stopped in epoch %d%s", done + 1, kept)
        if files.newest and not isinstance(stopped, TrainingFailed):
            log.info("To go on: the same command with --resume.")
    if files.newest:
        files.save_rest()
        save_from_checkpoint(files.newest, run.model, paths.models / FINAL_MODEL)
        plot_all(paths.metrics_file, paths.plots)
        print(summarise(run.metrics))


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader[Batch],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
) -> Result:
    """One step a batch: cross-entropy at the masked positions, and nowhere else."""
    model.train()
    device = next(model.parameters()).device
    totals, weights = Totals(device), sum(weight.numel() for weight in model.parameters())
    with progress("training", len(loader), "batch", leave=False) as bar, each_batch(loader) as loaded:
        for batch in loaded:
            optimizer.zero_grad(set_to_none=True)
            for learnt in in_halves(batch.to(device), weights, lambda part: learn(model, part, scaler), world()):
                if learnt:
                    totals.add(*learnt)
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            bar.update()
    return totals.result()


def learn(model: nn.Module, batch: Batch, scaler: torch.amp.GradScaler) -> tuple[Tensor, Tensor | None, Tensor] | None:
    """Add the gradients of a batch, and give what is to be added to the totals of the epoch."""
    assert batch.targets is not None
    logits = model(batch)
    columns, hits, counts = batch.targets - 1, None, batch.weight > 0 and not batch.without_memory
    if counts and not batch.given:
        hits = top_k_hits(ranks(logits.detach(), columns))  # now, for the loss overwrites the logits
    loss = masked_cross_entropy(logits, columns)
    scaler.scale(loss * batch.weight).backward()
    return (loss.detach(), hits, batch.num_targets) if counts else None


@torch.inference_mode()
def validate(model: BERT4Rec, loader: DataLoader[Batch]) -> Result:
    """The same loss and accuracies on users that training never sees, with the same masks every time; and the loss
    where they have given few titles, the same ones every time."""
    model.eval()
    device = model.item_bias.device
    totals = Totals(device, (0, *GIVEN_IN_VALIDATION))
    with progress("validation", len(loader), "batch", leave=False) as bar, each_batch(loader) as loaded:
        for batch in loaded:
            batch = batch.to(device)
            assert batch.targets is not None
            logits, hits = model(batch), None
            if batch.weight and not batch.given:
                of_targets = ranks(logits, batch.targets - 1)
                totals.squares += squares_of_rows(hits_by_row(of_targets, batch.rows, len(batch.items)))
                hits = top_k_hits(of_targets)
            if batch.weight:
                totals.add(masked_cross_entropy(logits, batch.targets - 1), hits, batch.num_targets, batch.given)
            bar.update()
    return totals.result()


if __name__ == "__main__":
    sys.exit(main())
