"""The files of examples/several_machines for SLURM and Kubernetes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "several_machines"
pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="the sources are not here")

# What SLURM has in its place; srun runs a task on each node.
COMMANDS = {
    "scontrol": """
if [ "$1" = show ]; then printf 'node1\\nnode2\\nnode3\\n'; else echo "$@" >> "$LOG"; fi
""",
    "srun": """
[ "$1" = --kill-on-bad-exit=1 ]; shift
for task in 0 1 2; do SLURM_PROCID=$task "$@" || exit 1; done
""",
    "worker": """
[ "$TASK_THAT_FAILS" != "$SLURM_PROCID" ] || exit 9
printf '%s\\n' "$TF_CONFIG" >> "$LOG"; printf '%s\\n' "$*" >> "$LOG"
""",
}


class TestSlurm:
    @pytest.fixture
    def submit(self, tmp_path):
        for name, text in COMMANDS.items():
            (tmp_path / name).write_text(f"#!/bin/bash\nset -eu{text}")
            (tmp_path / name).chmod(0o755)

        def submitted(*arguments, fails="", restarts="0"):
            environment = {
                **os.environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "LOG": str(tmp_path / "log"),
                "PYTHON": "worker",
                "SLURM_JOB_ID": "417",
                "SLURM_JOB_NODELIST": "node[1-3]",
                "SLURM_RESTART_COUNT": restarts,
                "SLURM_SUBMIT_DIR": str(ROOT),
                "TASK_THAT_FAILS": fails,
            }
            command = ["bash", str(EXAMPLE / "slurm.sh"), *arguments]
            process = subprocess.run(command, env=environment, capture_output=True, text=True)
            log = tmp_path / "log"
            return process, log.read_text().splitlines() if log.exists() else []

        return submitted

    def test_each_node_is_a_worker(self, submit):
        process, lines = submit("--epochs", "3", "--out", "a folder")
        assert process.returncode == 0, process.stderr
        addresses = [f"node{number}:20417" for number in (1, 2, 3)]
        for index, (config, command) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            assert json.loads(config) == {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
            assert command == f"{EXAMPLE}/train.py --epochs 3 --out a folder"
        assert index == 2

    def test_a_job_whose_worker_fails_is_queued_again(self, submit):
        process, lines = submit(fails="1")
        assert process.returncode == 1
        assert lines[-1] == "requeue 417"

    def test_not_for_ever(self, submit):
        process, lines = submit(fails="0", restarts="3")
        assert process.returncode == 1
        assert not lines


class TestKubernetes:
    @pytest.fixture
    def documents(self):
        yaml = pytest.importorskip("yaml")
        return list(yaml.safe_load_all((EXAMPLE / "kuberay.yaml").read_text()))

    def test_the_job_runs_what_there_is(self, documents):
        job, claim = documents
        program, *arguments = job["spec"]["entrypoint"].split()[1:]
        assert (ROOT / Path(program).relative_to("/masklstm")).is_file()
        assert "WORKDIR /masklstm" in (EXAMPLE / "Dockerfile").read_text()
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        printed = subprocess.run(
            [sys.executable, EXAMPLE / "train.py", "--help"], capture_output=True, text=True
        ).stdout
        own = (EXAMPLE / "with_ray.py").read_text()
        for option in given:
            assert option in printed or f'"{option}"' in own
        (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        assert group["replicas"] == int(given["--workers"])
        head = job["spec"]["rayClusterSpec"]["headGroupSpec"]
        for pod in (group["template"]["spec"], head["template"]["spec"]):
            (volume,), (container,) = pod["volumes"], pod["containers"]
            assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
            (mount,) = container["volumeMounts"]
            assert mount["name"] == volume["name"]
            assert given["--out"].startswith(mount["mountPath"])
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]

    def test_workers_have_the_cpu_that_ray_asks_for(self, documents):
        (group,) = documents[0]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        (container,) = group["template"]["spec"]["containers"]
        assert float(container["resources"]["limits"]["cpu"]) >= 1


def test_files_that_the_readme_names_are_there():
    text = (EXAMPLE / "README.md").read_text()
    named = re.findall(r"\]\((?!http)([^)#]+)\)", text) + re.findall(r"examples/[\w/.]+\w", text)
    assert len(named) > 8
    for name in named:
        assert (EXAMPLE / name).exists() or (ROOT / name).exists(), name
