"""The manifests of deploy/kubernetes, as `kubectl apply -k` would hand them to a cluster. No cluster is needed."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq import cli
from tests.run_folder import assert_equal, weights

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
Manifest = dict[str, Any]
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def manifests() -> dict[str, list[Manifest]]:
    """Those of each folder that can be applied."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which puts the values into the manifests, is not installed")
    folders = [path for path in FOLDER.iterdir() if path.name != "values"]
    command = ["kubectl", "kustomize"]
    return {
        path.name: list(yaml.safe_load_all(subprocess.check_output([*command, str(path)], text=True)))
        for path in folders
    }


def pods(manifest: Manifest) -> Iterator[Manifest]:
    """The pods that a manifest describes."""
    if manifest["kind"] == "Pod":
        yield manifest["spec"]
    elif manifest["kind"] == "Job":
        yield manifest["spec"]["template"]["spec"]
    elif manifest["kind"] == "PyTorchJob":
        for replicas in manifest["spec"]["pytorchReplicaSpecs"].values():
            yield replicas["template"]["spec"]


def test_all_values_come_from_one_place(manifests: dict[str, list[Manifest]], tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    file = tmp_path / "kubernetes" / "values" / "kustomization.yaml"
    component = yaml.safe_load(file.read_text())
    [generator] = component["configMapGenerator"]
    names = [literal.partition("=")[0] for literal in generator["literals"]]
    generator["literals"] = [f"{name}={1000 + number}" for number, name in enumerate(names)]
    component["images"][0] |= {"newName": "another.example/of-mine", "newTag": "9.9"}
    file.write_text(yaml.safe_dump(component))
    text = "".join(
        subprocess.check_output(["kubectl", "kustomize", str(tmp_path / "kubernetes" / name)], text=True)
        for name in manifests
    )
    for number, name in enumerate(names):
        assert str(1000 + number) in text, f"{name} is put nowhere"
    assert "another.example/of-mine:9.9" in text
    before = "".join(yaml.safe_dump_all(each) for each in manifests.values())
    for marker in ("from-values", "image: seq2seq\n", "ConfigMap"):
        assert marker not in before


def test_manifests_fit_the_schema_of_kubernetes(manifests: dict[str, list[Manifest]]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for manifest in [each for several in manifests.values() for each in several]:
        if manifest["kind"] == "PyTorchJob":  # the operator's, not of Kubernetes; its pods are
            template = manifest["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]
            manifest = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template}
        validator.validate(manifest, "1.32", strict=True)


def test_pods_run_without_privileges_from_an_image_that_stays_the_same(manifests: dict[str, list[Manifest]]) -> None:
    claims = {each["metadata"]["name"] for each in manifests["volumes"] if each["kind"] == "PersistentVolumeClaim"}
    found = [pod for several in manifests.values() for each in several for pod in pods(each)]
    assert len(found) == 3
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 1000, "as in the Dockerfile"
        [container] = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert re.search(r":\d+\.\d+\.\d+$|@sha256:", container["image"])
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        asked = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
        assert asked == claims


def test_a_preempted_job_goes_on_and_a_mistaken_one_does_not(manifests: dict[str, list[Manifest]]) -> None:
    [job] = manifests["job"]
    [pod] = pods(job)
    [ignored, final] = job["spec"]["podFailurePolicy"]["rules"]
    assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (final["action"], final["onExitCodes"]["values"]) == ("FailJob", [2])
    assert final["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert pod["restartPolicy"] == "Never", "or Kubernetes refuses the policy"
    assert pod["terminationGracePeriodSeconds"] >= 300


def test_the_pods_of_a_pytorchjob_train_together(
    manifests: dict[str, list[Manifest]], tmp_path: Path, toy_config: Path, toy_arguments: Arguments
) -> None:
    """Two processes with the command of the manifest, and in the environment what the operator sets."""
    [job] = manifests["pytorchjob"]
    [pod] = pods(job)
    [container] = pod["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    options = ["--trainer.max_steps=8", "--trainer.precision=64-true"]
    assert cli.main(toy_arguments(tmp_path / "one", *options, "--trainer.accumulate_grad_batches=2")) == 0
    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    config["trainer"]["accumulate_grad_batches"] = 1
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    values |= {"CONFIG": str(tmp_path / "config.yaml"), "RUN_DIR": str(tmp_path / "two")}
    # training-operator 1.9, pkg/controller.v1/pytorch/elastic.go and envvar.go; its host is the name of a pod.
    replicas = job["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"]
    values |= {
        "PYTHONUNBUFFERED": "0",
        "PET_RDZV_ENDPOINT": f"localhost:{port}",
        "PET_RDZV_BACKEND": job["spec"]["elasticPolicy"]["rdzvBackend"],
        "PET_NNODES": f"{replicas}:{replicas}",
        "PET_MAX_RESTARTS": str(job["spec"]["elasticPolicy"]["maxRestarts"]),
    }
    program = tmp_path / "bin" / "seq2seq"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m seq2seq.cli "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | values | {"PATH": path, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    environment["TMPDIR"] = str(tmp_path)  # where torchrun leaves a folder for logs
    expanded = [re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], each) for each in container["args"]]
    command = [re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], each) for each in container["command"]]
    both = [subprocess.Popen([*command, *expanded], env=environment, cwd=ROOT) for _ in range(replicas)]
    try:
        assert [each.wait(300) for each in both] == [0, 0]
    finally:
        for each in both:
            each.terminate()
    assert_equal(weights(tmp_path / "two", "last"), weights(tmp_path / "one", "last"), atol=1e-9)
