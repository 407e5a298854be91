"""Runs the training of train.py on the workers of a Ray cluster, or on this machine

Ray starts the workers, tells each its place in TF_CONFIG, and starts all of them anew if one dies;
they go on from the end of the last complete epoch.

    python examples/several_machines/with_ray.py --workers 2 --epochs 4
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")

import ray
import train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowTrainer

HERE = Path(__file__).resolve().parent


def worker(options: dict[str, Any]) -> None:
    """What each worker runs."""
    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # Ray shows everything else
    history = train.train(**options)
    # Ray waits for all workers here, and shows the figures in its dashboard.
    ray.train.report({name: values[-1] for name, values in history.items()})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = train.parser()
    parser.description = __doc__
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--gpus", action="store_true", help="one for each worker")
    parser.add_argument(
        "--address", help="of a cluster that runs, or auto; by default one is started here"
    )
    parser.add_argument(
        "--failures", type=int, default=3, help="how often to start anew. Default: %(default)s"
    )
    options = vars(parser.parse_args(arguments))
    workers, address = options.pop("workers"), options.pop("address")
    gpus, failures = options.pop("gpus"), options.pop("failures")
    options["csv"], options["out"] = (os.path.abspath(options[name]) for name in ("csv", "out"))

    # On this machine there may be fewer cores than workers.
    here: dict[str, Any] = {} if address else {"num_cpus": workers + 1, "include_dashboard": False}
    ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": str(HERE)}}, **here)
    try:
        TensorflowTrainer(
            worker,
            train_loop_config=options,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(
                name="several_machines",
                storage_path=options["out"],
                failure_config=FailureConfig(max_failures=failures),
            ),
        ).fit()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
