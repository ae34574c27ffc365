"""The section on a training: what `steps.py` has measured, and what follows from it."""

import statistics

from seq2seq.audit.findings import Finding, Section
from seq2seq.datamodule import TranslationDataModule
from seq2seq.doctor.duration import Epoch, end_of_training, what_lightning_refuses
from seq2seq.doctor.steps import Trial, measure
from seq2seq.parallel import num_cores
from seq2seq.training.flops import count_flops
from seq2seq.training.module import TranslationModule
from seq2seq.training.settings import Given


def examine_training(model: TranslationModule, data: TranslationDataModule, given: Given, *, load: float) -> Section:
    """Time and memory of a training.

    Args:
        model: not built yet; it is of no use afterwards.
        data: prepared here: what the cache does not hold yet is written.
        given: the settings.
        load: of the machine, before this program added to it.
    """
    section = Section("Training")
    cores = num_cores()
    if load > cores / 2:
        message = f"the machine is busy (load {load:.1f} on {cores} cores): times are longer than on an idle one"
        section.findings.append(Finding("busy machine", "note", message))
    try:
        data.prepare_data()
        data.setup()
        trial = measure(model, data, given)
    except (OSError, ValueError) as error:
        section.findings.append(Finding("training", "error", str(error)))
        return section
    _describe(section, model, trial, given)
    return section


def _describe(section: Section, model: TranslationModule, trial: Trial, given: Given) -> None:
    """Write down what was measured, and what follows from it."""
    batch_s = statistics.fmean(statistics.median(times) for times in trial.seconds.values())
    tokens = sum(batch.num_tgt_tokens for batch in trial.planned)
    num_steps = sum(map(len, trial.seconds.values()))
    valid_s = statistics.fmean(trial.valid_seconds.values()) * len(trial.valid_planned)
    section.figures |= {
        "parameters": trial.num_parameters,
        "state_bytes": trial.num_bytes,
        "largest_batch_bytes": round(trial.bytes_needed),
        "bytes_free_for_batches": round(trial.bytes_free),
        "measured_steps": num_steps,
        "measured_batches": len(trial.seconds),
        "batch_s": batch_s,
        "target_tokens_per_s": tokens / len(trial.planned) / batch_s * trial.world_size,
        "validation_s": valid_s,
    }
    share = f" of each of {trial.world_size} processes" if trial.world_size > 1 else ""
    section.text += [
        f"{trial.num_parameters:,} parameters; with gradients and the optimiser's state {_mb(trial.num_bytes)}",
        f"the largest batch{share} ({trial.planned[0].size:,} tokens of both sides) takes {_mb(trial.bytes_needed)} "
        f"more; {_mb(trial.bytes_free)} are free for it",
        f"measured: {num_steps} steps on {len(trial.seconds)} of {len(trial.planned)} batches{share}, "
        f"{len(trial.valid_seconds)} of {len(trial.valid_planned)} batches of the validation, on one device",
        f"a batch takes {batch_s:.3g} s, {section.figures['target_tokens_per_s']:,.0f} target tokens a second",
    ]
    if trial.bytes_needed > trial.bytes_free:
        section.findings.append(
            Finding(
                "memory",
                "warning",
                f"the largest batch takes {_mb(trial.bytes_needed)}, and {_mb(trial.bytes_free)} are free: it comes in "
                "pieces, which is slower; lower data.max_tokens_per_batch",
            )
        )
    if not trial.streaming:
        _describe_epoch(section, model, trial, given, batch_s, valid_s)


def _describe_epoch(
    section: Section, model: TranslationModule, trial: Trial, given: Given, batch_s: float, valid_s: float
) -> None:
    sizes = trial.tokenizers.src.vocab_size, trial.tokenizers.tgt.vocab_size
    flops_of = count_flops(model.architecture, model.model_config, *sizes)
    epoch = Epoch(
        len(trial.planned),
        trial.world_size * sum(batch.num_tgt_tokens for batch in trial.planned),
        trial.world_size * sum(flops_of(len(batch.rows), batch.num_src, batch.num_tgt) for batch in trial.planned),
    )
    section.findings += [Finding("epoch", "error", message) for message in what_lightning_refuses(given, epoch)]
    epoch_s = epoch.num_batches * batch_s
    section.figures |= {"epoch": epoch._asdict(), "epoch_s": epoch_s}
    section.text.append(
        f"an epoch: {epoch.num_batches:,} batches, {_minutes(epoch_s)}; a validation: {_minutes(valid_s)}, when "
        "translations are as long as references"
    )
    end = end_of_training(given, epoch, batch_s)
    if end is None:
        section.text.append("nothing ends this training: neither epochs, updates nor a budget")
        return
    batches = end.updates * given["trainer.accumulate_grad_batches"]
    total_s = batches * batch_s + end.validations * valid_s
    section.figures |= {"end": end._asdict(), "total_s": total_s}
    section.text.append(
        f"{end.limit} ends it after {end.updates:,} updates, {batches / epoch.num_batches:.1f} epochs and "
        f"{end.validations} validations: {_minutes(total_s)} in all"
    )


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
