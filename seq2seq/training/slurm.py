"""What Lightning is told of SLURM: `srun seq2seq fit ...` trains on all tasks of its step, with no further options.

A single task, and the script of sbatch before any srun, are like any other machine: Lightning itself starts a process
for each device that is asked for. Left alone, it would wait there for tasks that nobody has started, or let each of
several tasks train the same model into the same folder.
"""

import os
from collections.abc import Mapping
from typing import Any

from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment


def under_slurm(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's options that SLURM decides: none without it, or under torchrun.

    Args:
        trainer: its options as the user wants them: devices, num_nodes and plugins are looked at.

    Raises:
        ValueError: they are not those on which srun has started tasks.
    """
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return {}
    num_tasks = int(os.environ["SLURM_NTASKS"])
    devices, nodes, plugins = trainer["devices"], trainer["num_nodes"], trainer["plugins"] or []
    if num_tasks == 1 or "SLURM_STEP_ID" not in os.environ:
        if nodes > 1:
            raise ValueError(
                f"trainer.num_nodes is {nodes}, and SLURM has started one process; start it with srun --nodes={nodes} "
                "--ntasks-per-node=DEVICES"
            )
        return {"plugins": [*plugins, LightningEnvironment()]}
    num_nodes, tasks = int(os.environ["SLURM_NNODES"]), os.environ["SLURM_STEP_TASKS_PER_NODE"]
    on_each = num_tasks // num_nodes
    if tasks not in (f"{on_each}", f"{on_each}(x{num_nodes})"):
        raise ValueError(
            f"srun has started {tasks} tasks on {num_nodes} nodes; give --ntasks-per-node, the same on each"
        )
    if str(devices) not in ("auto", "-1", str(on_each)) or nodes not in (1, num_nodes):
        raise ValueError(
            f"trainer.devices is {devices} and trainer.num_nodes {nodes}, but srun has started {on_each} tasks on each "
            f"of {num_nodes} nodes; leave both out"
        )
    os.environ["SLURM_NTASKS_PER_NODE"] = str(on_each)  # the only way in which Lightning wants to be told of several
    # It would hand the job in again by itself, and prefer a checkpoint of its own: the job's script and ours do that.
    plugins = [*plugins, SLURMEnvironment(auto_requeue=False)]
    return {"devices": on_each, "num_nodes": num_nodes, "plugins": plugins}
