"""compose.yaml: the image that the Dockerfile builds, with the arguments of this version's commands."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq import __version__, cli

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVICES)
def test_a_job_is_of_this_version_its_user_is_not_root_and_its_folders_are_the_images_volumes(name: str) -> None:
    job = SERVICES[name]
    assert job["image"] == f"seq2seq:{__version__}"
    assert job["user"] == "${UID:-1000}:${GID:-1000}"
    folders = re.search(r'^VOLUME \["(.*)", "(.*)"\]$', DOCKERFILE, re.MULTILINE)
    assert folders is not None
    assert {volume.split(":")[1] for volume in job["volumes"]} <= set(folders.groups())


@pytest.mark.parametrize("name", ["fit", "translate"])
def test_a_jobs_arguments_are_those_of_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # in the image configs/ lies in the working folder too
    program, *arguments = [*SERVICES[name]["entrypoint"], *SERVICES[name]["command"]]
    assert program == "seq2seq"
    arguments += ["--print_config"] if name == "fit" else []
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
