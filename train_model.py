"""Train BERT4Rec on the lists in the database, draw the curves, and say how well it ranks beside baselines.

    python train_model.py
    python train_model.py --epochs 50 --hidden-size 128 --batch-size 32
    python train_model.py --resume                                          # with the same flags as before
    torchrun --nproc-per-node 2 train_model.py --batch-size 64              # see training/processes.py

Read `main` from top to bottom: load, build, then for each epoch train, evaluate, record and save.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

# Before torch starts its threads: let them wait without spinning, which costs several times the speed as soon as
# another program uses a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anime_bert4rec.command_line.flags import Parser, add_flags, pick
from anime_bert4rec.command_line.script import EXIT_ERROR, logging_to, on_screen, parse, script
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.masked_metrics import (
    hits_by_row,
    masked_cross_entropy,
    ranks,
    squares_of_rows,
    top_k_hits,
)
from anime_bert4rec.model.memory_fitting import fit_memory
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from anime_bert4rec.model.training_data import Data, batches, load_data
from anime_bert4rec.model.two_threads import in_halves
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED, finish_first
from anime_bert4rec.support.whole_files import write_json
from anime_bert4rec.training.averaging import AveragedWeights
from anime_bert4rec.training.batch_loading import check_open_files, each_batch
from anime_bert4rec.training.history import History, Result
from anime_bert4rec.training.optimization import linear_schedule, make_optimizer
from anime_bert4rec.training.processes import (
    ProcessLost,
    from_main,
    in_parallel,
    is_loss,
    is_main,
    one_after_the_other,
    rank,
    several_processes,
    world,
)
from anime_bert4rec.training.resume import (
    Checkpoint,
    CheckpointFiles,
    checkpoint_to_resume,
    form_of,
    identity_of,
    restore,
    restore_outputs,
    snapshot,
)
from anime_bert4rec.training.run_folder import make_folders, move_earlier_run_aside, only_run_in, remove_leftovers
from anime_bert4rec.training.run_report import (
    describe_data,
    describe_run,
    log_model,
    log_start,
    summarise,
    where_everything_is,
)
from anime_bert4rec.training.totals import Totals
from config import NEWEST, PathSettings, ResumeSettings, TrainingSettings
from evaluate import evaluate_the_best
from visualize import plot_all, plot_data

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 10
LATEST_EVERY = 30.0
"""At most so often, in seconds, the latest checkpoint is written."""
EXPLODED = 20
"""A loss of so many times what knowing nothing costs ends the run."""


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        description="Train BERT4Rec on the lists in the database, and draw the curves.",
        epilog="Out of GPU memory? --batch-size 32 --hidden-size 128 --max-seq-len 100. "
        "Several processes? torchrun --nproc-per-node 2 train_model.py …",
    )
    add_flags(parser, TrainingSettings, "training")
    add_flags(parser, ResumeSettings, "going on")
    add_flags(parser, PathSettings, "files")
    args = parse(parser, argv)
    settings, going_on, paths = pick(args, TrainingSettings), pick(args, ResumeSettings), pick(args, PathSettings)

    try:
        check_open_files(settings.num_workers)
        with several_processes(settings.use_gpu):
            data = one_after_the_other(lambda: load_data(paths.database_file, settings))
            started = datetime.now()
            if not is_main():
                return train(data, settings, going_on, paths, started)
            with (
                only_run_in(paths.output),
                logging_to(paths.training_log, paths.logs / f"train_{started:%Y%m%d_%H%M%S}.log"),
            ):
                return train(data, settings, going_on, paths, started)
    except (KeyboardInterrupt, ProcessLost, TrainingFailed):
        if is_main():
            raise
        return EXIT_ERROR  # what there is to say, the main process says
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory from error
    except RuntimeError as error:
        if any(words in str(error) for words in NO_MEMORY):
            raise OutOfMemory from error
        raise


NO_MEMORY = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "bad_alloc", "can't start new thread")
"""How torch says it where it raises a RuntimeError."""


class OutOfMemory(UserError):
    def __init__(self) -> None:
        super().__init__("out of memory; these flags help: --batch-size 32 --hidden-size 128 --max-seq-len 100")


def train(
    data: Data, settings: TrainingSettings, going_on: ResumeSettings, paths: PathSettings, started: datetime
) -> int:
    log_start(data, started)
    form, steps_per_epoch = form_of(network_for(data, settings)), math.ceil(len(data.training) / settings.batch_size)
    identity = identity_of(data, settings, form)
    if from_main(identity) != identity:
        raise UserError("not all processes were given the same database and the same flags")
    kept: Checkpoint | None = None  # the state after the last whole epoch
    files = CheckpointFiles(paths.checkpoints, going_on.keep_checkpoints)
    if is_main():
        remove_leftovers(paths)
        if going_on.resume is not None:
            kept = checkpoint_to_resume(going_on.resume, paths, identity, data.vocabulary, form, steps_per_epoch)
        make_folders(paths)

    device, half_precision = choose_device(settings)
    model = build_model(data, settings).to(device)
    parallel = in_parallel(model, some_unused=model.config.answers_alone)
    optimizer = make_optimizer(model, settings.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=half_precision)
    averaged = AveragedWeights(model)
    history = History(settings.epochs, describe_data(data, settings))
    if is_main():
        if going_on.resume != NEWEST:
            move_earlier_run_aside(paths, started)
        if kept:
            restore_outputs(kept, model, files, paths)
    kept = from_main(kept)
    if kept:
        restore(kept, model, averaged, optimizer, scaler, history, settings.lr)
    steps_done = history.epochs_done * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, linear_schedule(settings.epochs * steps_per_epoch), last_epoch=steps_done - 1
    )

    if is_main():
        if kept:
            write_json(paths.metrics_file, history.as_dict())
        write_json(paths.models / "training_config.json", describe_run(data, settings, paths, model.config, started))
        data.people().save(paths.people_file)
        save_item_mappings(paths.models / "item_mappings.pkl", data.vocabulary)
        log_model(model, settings, device)

    latest_at, latest_epoch = -math.inf, history.epochs_done
    stopped: KeyboardInterrupt | TrainingFailed | ProcessLost | None = None
    with finish_first():  # who asks to stop is obeyed between two batches, by `each_batch`, and nowhere else
        try:
            for epoch in range(history.epochs_done + 1, settings.epochs + 1):
                if settings.patience and history.epochs_without_gain >= settings.patience:
                    log.info("The validation loss has not fallen for %d epochs: stopping here.", settings.patience)
                    break
                clock = time.perf_counter()
                learning_rate = float(schedule.get_last_lr()[0])
                training = batches(data.training, data, settings, epoch, rank(), world())
                trained = train_one_epoch(parallel, training, optimizer, schedule, scaler)
                averaged.update(model)
                with averaged.used_by(model):
                    validated = evaluate(model, batches(data.validation, data, settings, None, rank(), world()))
                check_sane(trained, validated, model.config.num_items, epoch, learning_rate)

                history.record(trained, validated, learning_rate, time.perf_counter() - clock)
                if not is_main():
                    continue
                kept = snapshot(model, averaged, optimizer, scaler, history, identity, before=kept)
                if history.best_epoch == epoch:
                    with averaged.used_by(model):
                        path = paths.models / "best_model.pth"
                        save_model(path, model, epoch=epoch, val_loss=validated.loss, identity=identity)
                if epoch % CHECKPOINT_EVERY == 0:
                    files.save_numbered(kept)
                if epoch % CHECKPOINT_EVERY == 0 or time.monotonic() - latest_at >= LATEST_EVERY:
                    files.save_latest(kept)
                    latest_at, latest_epoch = time.monotonic(), epoch
                write_json(paths.metrics_file, history.as_dict())
                log.info(history.line(), extra=on_screen(history.short_line(), good=history.is_best()))
        except (KeyboardInterrupt, TrainingFailed, ProcessLost) as reason:
            stopped = reason
        except RuntimeError as error:
            if not is_loss(error):
                raise
            stopped = ProcessLost()

        if not is_main():
            if stopped:
                raise stopped
            return 0
        if stopped:
            log.warning("stopped in epoch %d; the %d before it are kept", history.epochs_done + 1, history.epochs_done)
            if kept and not isinstance(stopped, TrainingFailed):
                log.info("To go on: the same command with --resume.")
        if kept:
            if latest_epoch < history.epochs_done:
                files.save_latest(kept)
            save_the_end(model, kept, history, paths)
    if isinstance(stopped, UserError):
        raise stopped
    if not stopped:
        plot_data(paths)
    code = EXIT_INTERRUPTED if stopped else evaluate_the_best(paths) if settings.evaluate else 0
    if kept:
        print(where_everything_is(paths))
    return code


def save_the_end(model: BERT4Rec, kept: Checkpoint, history: History, paths: PathSettings) -> None:
    """The final model, the plots and the summary."""
    model.load_state_dict(kept["model_state_dict"], strict=False)  # all but the memory, which training does not change
    path, identity = paths.models / "final_model.pth", kept["resume"]["identity"]
    save_model(path, model, epoch=kept["epoch"], val_loss=kept["val_loss"], identity=identity)
    plot_all(paths.metrics_file, paths.plots)
    print(summarise(history))


def choose_device(settings: TrainingSettings) -> tuple[torch.device, bool]:
    """Where to train, and whether in half precision."""
    if settings.use_gpu and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device()), settings.use_fp16
    if settings.use_gpu:
        log.info("No CUDA GPU was found: training on the CPU.")
    if settings.use_fp16:
        log.info("--fp16 needs a GPU: training in fp32.")
    return torch.device("cpu"), False


def network_for(data: Data, settings: TrainingSettings) -> ModelConfig:
    """The form of the network, which needs nothing to be fitted."""
    return ModelConfig(
        num_items=data.vocabulary.num_items,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        max_seq_len=settings.max_seq_len,
        dropout=settings.dropout,
        feed_forward_ratio=2 if data.enough_for_a_wide_network else 1,
        ordered=data.ordered,
        answers_alone=data.answers_alone(settings.memory),
    )


def build_model(data: Data, settings: TrainingSettings) -> BERT4Rec:
    """A model that already knows what can be known of the training lists without training."""
    torch.manual_seed(settings.seed)
    config, memory = network_for(data, settings), None
    if settings.memory:
        memory = fit_memory(
            data.training.select(data.counted),
            data.vocabulary.num_items,
            max_seq_len=settings.max_seq_len,
            seed=settings.seed,
            alike=data.alike,
        )
        config = replace(config, memory=memory.config)
    model = BERT4Rec(config, memory)
    if memory is None or config.answers_alone:
        model.start_from_popularity(torch.from_numpy(data.popularity()))
    return model


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


def learn(model: nn.Module, batch: Batch, scaler: torch.amp.GradScaler) -> tuple[Tensor, Tensor, int] | None:
    """Add the gradients of a batch, and give what is to be added to the totals of the epoch."""
    assert batch.targets is not None
    with torch.autocast(batch.items.device.type, torch.float16, enabled=scaler.is_enabled()):
        logits = model(batch)
    columns, hits = batch.targets - 1, None
    if batch.weight and not batch.without_memory:
        hits = top_k_hits(ranks(logits.detach(), columns))  # now, for the loss overwrites the logits
    loss = masked_cross_entropy(logits.float(), columns)
    scaler.scale(loss * batch.weight).backward()
    return None if hits is None else (loss.detach(), hits, len(columns))


@torch.inference_mode()
def evaluate(model: BERT4Rec, loader: DataLoader[Batch]) -> Result:
    """The same loss and accuracies on users that training never sees, with the same masks every time."""
    model.eval()
    device = model.item_bias.device
    totals = Totals(device)
    with progress("validation", len(loader), "batch", leave=False) as bar, each_batch(loader) as loaded:
        for batch in loaded:
            batch = batch.to(device)
            assert batch.targets is not None
            logits = model(batch)
            of_targets = ranks(logits, batch.targets - 1)
            if batch.weight:
                totals.squares += squares_of_rows(hits_by_row(of_targets, batch.rows, len(batch.items)))
                loss = masked_cross_entropy(logits, batch.targets - 1)
                totals.add(loss, top_k_hits(of_targets), len(batch.targets))
            bar.update()
    return totals.result()


class TrainingFailed(UserError):
    pass


def check_sane(trained: Result, validated: Result, num_items: int, epoch: int, learning_rate: float) -> None:
    """Raises TrainingFailed when the weights have exploded and would not come back: a loss is no longer a number, or
    beyond all measure; to know nothing costs log N."""
    for loss in (trained.loss, validated.loss):
        if not loss < EXPLODED * math.log(num_items + 1):
            raise TrainingFailed(
                f"the loss became {loss:.4g} in epoch {epoch} at learning rate {learning_rate:.1e}; a lower --lr helps"
            )


if __name__ == "__main__":
    sys.exit(main())
