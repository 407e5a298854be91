"""`worker_training` on workers that Ray starts.

python -m support.ray_training FOLDER COUNT CASE ...
"""

import os
import sys
from pathlib import Path

from support import worker_training


def worker(arguments):
    worker_training.run(*arguments["all"])


def main():
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    folder, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    ray.init(
        num_cpus=count + 1,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    TensorflowTrainer(
        worker,
        train_loop_config={"all": [folder, count, names]},
        scaling_config=ScalingConfig(num_workers=count),
        run_config=RunConfig(name="ray", storage_path=folder),
    ).fit()


if __name__ == "__main__":
    main()
