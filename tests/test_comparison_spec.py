"""The specification of a comparison: what it says, and what is refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq.comparison.spec import SystemSpec, read_spec

ROOT = Path(__file__).parent.parent
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(seeds=[1, 2], name=None) -> a small specification with these keys over it; None takes one away."""
    (tmp_path / "configs").mkdir()
    for name in ("small.yaml", "large.yaml"):
        (tmp_path / "configs" / name).touch()

    def write(**keys: Any) -> Path:
        content = {"name": "toy", "systems": {"lstm": {"config": "../configs/small.yaml"}}} | keys
        path = tmp_path / "compare" / "spec.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    return write


def test_a_name_and_a_system_are_enough(write: Write, tmp_path: Path) -> None:
    spec = read_spec(write())
    assert spec.name == "toy"
    assert spec.output_dir == Path("runs/compare/toy")
    assert spec.systems == (SystemSpec("lstm", (str(tmp_path / "configs" / "small.yaml"),)),)
    assert (spec.seeds, spec.budget, spec.parameters, spec.jobs, spec.attention) == ((1,), {}, None, 1, True)


def test_everything_that_is_said_is_kept(write: Write, tmp_path: Path) -> None:
    systems = {
        "large-0.3": {
            "config": ["../configs/small.yaml", "../configs/large.yaml"],
            "overrides": {"model.dropout": 0.3, "data.max_tokens_per_batch": 900},
            "configs_tried": 4,
        },
        "small": {"config": "../configs/small.yaml"},
    }
    data = {"train": "data/train", "tokenizer": {"vocab_size": 4000}}
    spec = read_spec(
        write(
            output_dir="runs/mine",
            systems=systems,
            data=data,
            seeds=[3, 1],
            budget={"minutes": 20},
            parameters=6_000_000,
            search={"beam_width": 4, "alpha": 1},
            attention=False,
            devices=[0, 2],
            slurm={"timeout_min": 60},
        )
    )
    assert [system.name for system in spec.systems] == ["large-0.3", "small"]
    first = spec.systems[0]
    assert first.configs == tuple(str(tmp_path / "configs" / name) for name in ("small.yaml", "large.yaml"))
    assert (first.overrides, first.configs_tried) == (systems["large-0.3"]["overrides"], 4)
    assert (spec.output_dir, spec.data, spec.seeds) == (Path("runs/mine"), data, (3, 1))
    assert (spec.budget, spec.parameters, spec.search) == ({"minutes": 20}, 6_000_000, {"beam_width": 4, "alpha": 1})
    assert (spec.attention, spec.devices, spec.slurm) == (False, (0, 2), {"timeout_min": 60})


def test_a_number_that_yaml_takes_for_text_is_a_number(write: Write) -> None:
    path = write()
    path.write_text(path.read_text() + "budget: {flops: 1e15}\n")
    assert yaml.safe_load("1e15") == "1e15"
    assert read_spec(path).budget == {"flops": 1e15}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": None}, "name is missing"),
        ({"systems": None}, "systems is missing"),
        ({"systems": []}, "systems names nothing to compare; write a name and a config: for each system"),
        ({"seed": [1]}, "the specification has no key 'seed'; did you mean seeds?"),
        ({"budget": {"hours": 1}}, "budget has no key 'hours'; there are target_tokens, updates, minutes, flops"),
        ({"budget": {"minute": 1}}, "budget has no key 'minute'; did you mean minutes?"),
        (
            {"budget": {"minutes": 1, "updates": 2}},
            "budget names minutes and updates; give exactly one of target_tokens, updates, minutes, flops",
        ),
        ({"budget": {}}, "budget names nothing; give exactly one of target_tokens, updates, minutes, flops"),
        ({"budget": {"minutes": 0}}, "budget.minutes is 0; expected a positive number"),
        ({"budget": {"updates": 1.5}}, "budget.updates is 1.5; expected a positive whole number"),
        ({"budget": {"minutes": True}}, "budget.minutes is True; expected a positive number"),
        ({"budget": 20}, "budget is 20; expected keys and values"),
        ({"parameters": "many"}, "parameters is 'many'; expected a positive whole number"),
        ({"seeds": []}, "seeds is []; expected whole numbers from 0, such as [1, 2, 3]"),
        ({"seeds": [1, "2"]}, "seeds is [1, '2']; expected whole numbers from 0, such as [1, 2, 3]"),
        ({"seeds": [1, 2, 1]}, "seeds [1, 2, 1] names a number twice"),
        ({"devices": [-1]}, "devices is [-1]; expected whole numbers from 0, such as [1, 2, 3]"),
        ({"jobs": 0}, "jobs is 0; expected a positive whole number"),
        ({"attention": "yes"}, "attention is 'yes'; expected true or false"),
        ({"search": {"beam_with": 5}}, "search has no key 'beam_with'; did you mean beam_width?"),
        ({"search": {"num_best": 5}}, "search has no key 'num_best'; there are beam_width, length_penalty, alpha, "),
        ({"search": {"beam_width": "5"}}, "search.beam_width is '5'; expected int"),
        ({"search": {"beam_width": 0}}, "beam_width is 0; it must be at least 1"),
        ({"search": {"length_penalty": "avg"}}, "length_penalty is 'avg'; use none, average or gnmt"),
        ({"data": ["train"]}, "data is ['train']; expected keys and values"),
        ({"data": {"tests": "data/test"}}, "data.tests is 'data/test'; expected keys and values"),
        ({"name": "a/b"}, "name 'a/b' becomes a folder's name: use letters, digits, and . _ + - after the first"),
        ({"name": ""}, "name '' becomes a folder's name: "),
        ({"systems": {"..": {}}}, "system '..' becomes a folder's name: "),
        ({"systems": {"-a": {}}}, "system '-a' becomes a folder's name: "),
        ({"systems": {"a": {}}}, "systems.a.config is None; name a configuration of seq2seq fit, or a list"),
        ({"systems": {"a": "x.yaml"}}, "systems.a is 'x.yaml'; expected keys and values"),
        ({"systems": {"a": {"configs": "x"}}}, "systems.a has no key 'configs'; did you mean config?"),
        (
            {"systems": {"a": {"config": "../configs/small.yaml", "overrides": {"data.seed": 3}}}},
            "systems.a.overrides sets data.seed, which the comparison sets for each run; leave it out",
        ),
        (
            {"systems": {"a": {"config": "../configs/small.yaml", "configs_tried": 0}}},
            "systems.a.configs_tried is 0; expected a positive whole number",
        ),
        (
            {"systems": {"a": {"config": "../configs/small.yaml"}, "A": {"config": "../configs/small.yaml"}}},
            "two systems have names that differ in upper and lower case only; rename one",
        ),
    ],
    ids=str,
)
def test_what_is_not_possible_is_refused_in_one_line(write: Write, keys: dict[str, Any], message: str) -> None:
    path = write(**keys)
    with pytest.raises(ValueError, match=r"spec\.yaml: ") as error:
        read_spec(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_a_config_that_is_not_there_is_named_with_its_path(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="systems.a.config: there is no file ") as error:
        read_spec(write(systems={"a": {"config": "../configs/none.yaml"}}))
    assert f"{tmp_path}/configs/none.yaml; the path starts at the specification's folder" in str(error.value)


def test_a_system_that_stands_twice_is_refused(write: Write) -> None:
    path = write(systems=None)
    path.write_text("name: toy\nsystems:\n  a: {config: ../configs/small.yaml}\n  a: {config: ../configs/large.yaml}\n")
    with pytest.raises(ValueError, match=r"spec\.yaml: a stands twice in one section \(line 3\)"):
        read_spec(path)


def test_what_is_no_yaml_is_refused_in_one_line(write: Write) -> None:
    path = write()
    path.write_text("name: [toy\nsystems: {")
    with pytest.raises(ValueError, match=r"spec\.yaml is no YAML: .* line 2") as error:
        read_spec(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "compare").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_comparisons_can_be_read(path: Path) -> None:
    spec = read_spec(path)
    assert len(spec.systems) >= 2
    assert spec.budget
