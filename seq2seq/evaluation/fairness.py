"""What was equal between the systems of a comparison and what was not, and what each of them cost."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from seq2seq.evaluation.results import Results, Run, dotted

TOLERANCE = 0.02  # figures as near as this are equal

# What a training can spend: name in a budget -> name in `Run.training`, in words.
_SPENT = {
    "target_tokens": ("target_tokens", "training tokens"),
    "updates": ("updates", "updates"),
    "minutes": ("minutes_in_updates", "training minutes"),
    "flops": ("flops", "training FLOPs"),
}
# Options of a run's configuration that are no part of an architecture: those of all systems are set side by side.
_RECIPE = (
    "data.",
    "model.init_args.optimization.",
    "model.init_args.dropout",
    "model.init_args.label_smoothing",
    "trainer.",
)
_NOT_RECIPE = ("data.seed", "data.cache_dir")
_HARDWARE = ("cpu", "device", "num_devices", "num_threads", "precision")
_SOFTWARE = ("seq2seq", "git_commit", "torch", "lightning", "python")


@dataclass(frozen=True)
class Equality:
    """One thing that should be equal between the systems of a fair comparison.

    Attributes:
        what: "training data", "tokenizer", "budget", "parameters", "search", "hardware", "tuning effort", ...
        equal: None where it is not known.
        detail: what was equal, or how it differed, in words for readers.
        demanded: whether a fair comparison demands it: data, tokenizer, search, budget, parameters if the specification
            says how many, hardware if the budget is time. Unequal then is shown in red.
    """

    what: str
    equal: bool | None
    detail: str
    demanded: bool


@dataclass(frozen=True)
class Cost:
    """What one system costs, means over its runs; None where nobody measured."""

    system: str
    parameters: float | None
    target_tokens: float | None
    updates: float | None
    minutes: float | None  # of training alone
    minutes_total: float | None  # with validations and checkpoints
    flops: float | None
    tokens_per_s: float | None  # target tokens in training
    peak_memory_bytes: float | None
    sentences_per_s: float | None  # decoding, over all test sets
    configs_tried: int | None


def costs(results: Results) -> list[Cost]:
    """What each system costs."""
    return [
        Cost(
            system=system.name,
            parameters=_mean_figure(results, system.name, "parameters"),
            target_tokens=_mean_figure(results, system.name, "target_tokens"),
            updates=_mean_figure(results, system.name, "updates"),
            minutes=_mean_figure(results, system.name, "minutes_in_updates"),
            minutes_total=_mean_figure(results, system.name, "minutes"),
            flops=_mean_figure(results, system.name, "flops"),
            tokens_per_s=_mean(_tokens_per_s(run) for run in results.runs_of(system.name)),
            peak_memory_bytes=_mean_figure(results, system.name, "peak_memory_bytes"),
            sentences_per_s=_mean(_sentences_per_s(run) for run in results.runs_of(system.name)),
            configs_tried=system.configs_tried,
        )
        for system in results.systems
    ]


def equalities(results: Results) -> list[Equality]:
    """All that should be equal, in the order of the report. Figures that nobody measured are left out."""

    def of_runs(describe: Callable[[Run], str | None]) -> dict[str, list[str | None]]:
        return {system.name: [describe(run) for run in results.runs_of(system.name)] for system in results.systems}

    def hashes(name: str) -> dict[str, list[str | None]]:
        return of_runs(lambda run: f"sha256 {str(run.origin[name])[:16]}" if run.origin.get(name) else None)

    seeds = of_runs(lambda run: None if run.seed is None else str(len(results.runs_of(run.system))))
    tried = {system.name: [_tried(system.configs_tried)] for system in results.systems}
    rows = [
        _same("training data", hashes("train_sha256"), demanded=True),
        _same("validation data", hashes("valid_sha256"), demanded=True),
        _same("tokenizer", hashes("tokenizer_sha256"), demanded=True),
        _same("search", of_runs(_search), demanded=True),
        _budget(results),
        _near(results, "parameters", "parameters", target=results.parameters),
        *(_near(results, key, what) for key, what in _SPENT.values()),
        _same("hardware", of_runs(lambda run: _origin(run, _HARDWARE)), demanded="minutes" in results.budget),
        _same("software", of_runs(lambda run: _origin(run, _SOFTWARE))),
        _recipe(results),
        _same("number of seeds", seeds),
        _same("tuning effort", tried),
    ]
    return [row for row in rows if row]


def _same(what: str, texts: Mapping[str, Sequence[str | None]], *, demanded: bool = False) -> Equality:
    """Whether the texts of all runs of all systems are the same; None is unknown."""
    distinct = {text for of_system in texts.values() for text in of_system}
    known = distinct - {None}
    equal = False if len(known) > 1 else None if None in distinct else True
    if len(distinct) == 1:
        return Equality(what, equal, next(iter(known), None) or "unknown", demanded)
    systems: dict[str, list[str]] = {}
    for name, of_system in texts.items():
        text = " or ".join(dict.fromkeys(one or "unknown" for one in of_system))
        systems.setdefault(text, []).append(name)
    detail = "; ".join(f"{', '.join(names)}: {text}" for text, names in systems.items())
    return Equality(what, equal, detail, demanded)


def _near(results: Results, key: str, what: str, target: float | None = None) -> Equality | None:
    """Whether a figure of all systems is the same but for the tolerance, or near a target, which is demanded then."""
    figures = {system.name: _mean_figure(results, system.name, key) for system in results.systems}
    known = [figure for figure in figures.values() if figure is not None]
    if not known:
        return None
    is_equal = _are_near(known) if target is None else all(_is_near(figure, target) for figure in known)
    equal = False if not is_equal else None if len(known) < len(figures) else True
    detail = ", ".join(f"{name} {'unknown' if figure is None else _number(figure)}" for name, figure in figures.items())
    return Equality(what, equal, detail, demanded=target is not None)


def _budget(results: Results) -> Equality | None:
    """Whether every training spent the budget, no less and no more; without one, whether they spent the same."""
    trained = [run for run in results.runs if run.training]
    if not trained:
        return None
    is_known = len(trained) == len(results.runs)
    if not results.budget:
        names = dict.fromkeys(run.system for run in trained)
        same = []
        for key, words in _SPENT.values():
            means = [mean for name in names if (mean := _mean_figure(results, name, key)) is not None]
            if len(means) == len(names) and _are_near(means):
                same.append(words)
        if not same:
            return Equality("budget", False, "none was set: each training went as far as its configuration says", True)
        return Equality("budget", is_known or None, f"none was set, but equal were {', '.join(same)}", True)
    ((kind, amount),) = results.budget.items()
    key, words = _SPENT[kind]
    off = []
    for run in trained:
        figure = _figure(run, key)
        if figure is None:
            is_known = False
        elif not _is_near(figure, amount):
            off.append(f"{run.system}, seed {run.seed}, spent {_number(figure)}")
    detail = "; ".join([f"{_number(amount)} {words} for each", *off])
    return Equality("budget", False if off else is_known or None, detail, demanded=True)


def _recipe(results: Results) -> Equality:
    """Whether the systems were trained alike: data options, optimisation, dropout, label smoothing, trainer."""
    runs = [run for run in results.runs if run.config]
    recipes = [
        {
            name: value
            for name, value in dotted(run.config)
            if name.startswith(_RECIPE) and not name.startswith(_NOT_RECIPE)
        }
        for run in runs
    ]
    shared = [name for name in recipes[0] if all(name in recipe for recipe in recipes)] if recipes else []
    unequal = []
    for name in shared:
        systems: dict[str, dict[str, None]] = {}
        for run, recipe in zip(runs, recipes, strict=True):
            systems.setdefault(str(recipe[name]), {})[run.system] = None
        if len(systems) > 1:
            values = ", ".join(f"{value} ({' and '.join(names)})" for value, names in systems.items())
            unequal.append(f"{name.replace('init_args.', '')} {values}")
    is_known = bool(runs) and len(runs) == len(results.runs)
    if unequal:
        return Equality("recipe", False, "; ".join(unequal), demanded=False)
    return Equality("recipe", is_known or None, f"{len(shared)} options alike" if shared else "unknown", demanded=False)


def _search(run: Run) -> str | None:
    """The options of a run's searches, if they are known for all test sets."""
    texts = {", ".join(f"{key} {value}" for key, value in output.search.items()) for output in run.outputs.values()}
    return None if "" in texts else " and ".join(sorted(texts))


def _origin(run: Run, keys: Sequence[str]) -> str | None:
    known = [f"{key} {run.origin[key]}" for key in keys if run.origin.get(key) is not None]
    return ", ".join(known) or None


def _figure(run: Run, key: str) -> float | None:
    value = run.training.get(key)
    return None if value is None else float(value)


def _mean_figure(results: Results, system: str, key: str) -> float | None:
    return _mean(_figure(run, key) for run in results.runs_of(system))


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _tokens_per_s(run: Run) -> float | None:
    tokens, minutes = _figure(run, "target_tokens"), _figure(run, "minutes_in_updates")
    return tokens / (60 * minutes) if tokens is not None and minutes else None


def _sentences_per_s(run: Run) -> float | None:
    timed = [output for output in run.outputs.values() if output.seconds]
    seconds = sum(output.seconds or 0.0 for output in timed)
    return sum(len(output.hypotheses) for output in timed) / seconds if timed else None


def _are_near(figures: Sequence[float]) -> bool:
    return max(figures) <= (1 + TOLERANCE) * min(figures)


def _is_near(figure: float, target: float) -> bool:
    return abs(figure - target) <= TOLERANCE * target


def _tried(count: int | None) -> str | None:
    if count is None:
        return None
    return "1 configuration" if count == 1 else f"{count} configurations"


def _number(figure: float) -> str:
    """For readers: 20, 0.25, 6,012,345, 1.2e+15."""
    if figure >= 1e12:
        return f"{figure:.3g}"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
