"""Which TensorFlow a build is for, and what it says where it cannot be made."""

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from masklstm._core import library

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "build_support"

if not SUPPORT.exists():
    pytest.skip("the tests run away from the source tree", allow_module_level=True)


@pytest.fixture
def build(monkeypatch):
    monkeypatch.syspath_prepend(str(SUPPORT))
    monkeypatch.delenv("MASKLSTM_TENSORFLOW", raising=False)
    import installed_tensorflow

    return installed_tensorflow


@pytest.fixture
def environment(tmp_path, build, monkeypatch):
    """A folder that packages are put into, in the place of this environment's own."""
    monkeypatch.setattr(build, "_folders_of_environment", lambda: [str(tmp_path)])
    monkeypatch.setattr(sys, "path", [])

    def install(**versions):
        (tmp_path / "tensorflow").mkdir(exist_ok=True)
        (tmp_path / "tensorflow" / "__init__.py").touch()
        for name, version in versions.items():
            about = tmp_path / f"{name}-{version}.dist-info"
            about.mkdir()
            (about / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
            (about / "top_level.txt").write_text("tensorflow\n")

    return install


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow_cpu", "tf_nightly"])
def test_what_is_there_is_built_for_and_required(environment, build, name):
    environment(**{name: "2.19.1"})
    found = build.target()
    published = name.replace("_", "-")
    assert found[:2] == (published, "2.19.1")
    build.check_minor(found, native=True)
    assert build.requirement(found, native=True) == f"{published}>=2.19,<2.20"
    assert build.requirement(found, native=False) == f"{published}>=2.16"
    # Which package an isolated build compiles against makes no difference.
    assert build.build_requirement(found).endswith(">=2.19,<2.20")


def test_without_tensorflow_it_is_the_newest(environment, build, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/tmp/pip-build-env-1/overlay"])
    build.check_visible()
    target = build.target()
    assert target == ("tensorflow", build.MINORS[-1], None)
    assert build.requirement(target, native=True).startswith("tensorflow>=")


def test_what_pip_installs_for_the_build_alone_does_not_count(build, tmp_path, monkeypatch):
    overlay = tmp_path / "pip-build-env-1"
    (overlay / "tensorflow").mkdir(parents=True)
    (overlay / "tensorflow" / "__init__.py").touch()
    about = overlay / "tensorflow_cpu-2.19.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: tensorflow_cpu\nVersion: 2.19.0\n")
    (about / "top_level.txt").write_text("tensorflow\n")
    monkeypatch.setattr(build, "_folders_of_environment", lambda: [str(tmp_path / "empty")])
    monkeypatch.setattr(sys, "path", [str(overlay)])
    assert build.find_tensorflow().distribution == "tensorflow-cpu"
    assert build.target() == ("tensorflow", build.MINORS[-1], None)


def test_where_the_environment_is_hidden_the_user_must_say_what_it_has(
    environment, build, monkeypatch
):
    with pytest.raises(build.BuildError, match="MASKLSTM_TENSORFLOW=tensorflow-cpu=="):
        build.check_visible()
    monkeypatch.setenv("MASKLSTM_TENSORFLOW", "2.20")
    build.check_visible()
    # The later steps of such a build find what it was given: the package that will be required.
    target = build.target()
    assert build.build_requirement(target) == build.requirement(target, native=True)
    monkeypatch.setenv("MASKLSTM_TENSORFLOW", "tensorflow==2.20")
    assert build.requirement(build.target(), native=True) == "tensorflow>=2.20,<2.21"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("2.19", ("tensorflow-cpu", "2.19")),
        ("2.19.1", ("tensorflow-cpu", "2.19")),
        ("2.19.*", ("tensorflow-cpu", "2.19")),
        ("tensorflow==2.18", ("tensorflow", "2.18")),
        (" tensorflow-cpu==2.18.1 ", ("tensorflow-cpu", "2.18")),
    ],
)
def test_the_variable_chooses(environment, build, monkeypatch, choice, expected):
    environment(tensorflow_cpu="2.20.0")
    monkeypatch.setenv("MASKLSTM_TENSORFLOW", choice)
    assert build.target()[:2] == expected


@pytest.mark.parametrize("choice", ["2", "newest", "keras==3.6", "tensorflow", "2.19; rm"])
def test_another_choice_is_refused(environment, build, monkeypatch, choice):
    monkeypatch.setenv("MASKLSTM_TENSORFLOW", choice)
    with pytest.raises(build.BuildError, match=r"MASKLSTM_TENSORFLOW must be .* Received: "):
        build.target()


@pytest.mark.parametrize("version", ["2.15.1", "2.17.0", "2.22.0", "3.0.0"])
def test_other_minors_are_refused_with_a_way_out(environment, build, version):
    environment(tensorflow=version)
    with pytest.raises(build.BuildError) as refused:
        build.check_minor(build.target(), native=True)
    assert f"Found: tensorflow {version}" in str(refused.value)
    oldest = f"TensorFlow {build.FIRST_PURE} is the oldest"
    assert (oldest if version == "2.15.1" else "MASKLSTM_NATIVE=OFF") in str(refused.value)


@pytest.mark.parametrize("version", ["2.15.1", "2.16.2", "2.22.0"])
def test_without_native_part_the_oldest_alone_are_refused(environment, build, version):
    environment(tensorflow=version)
    refused = pytest.raises(build.BuildError, match="is the oldest")
    with refused if version == "2.15.1" else contextlib.nullcontext():
        build.check_minor(build.target(), native=False)


def test_two_over_each_other_are_refused(environment, build):
    environment(tensorflow="2.21.0", tensorflow_cpu="2.20.0")
    with pytest.raises(build.BuildError, match="installed over each other") as refused:
        build.target()
    assert "pip uninstall" in str(refused.value)


def test_two_of_one_version_are_one(environment, build):
    environment(tensorflow="2.20.0", tensorflow_intel="2.20.0")
    assert build.target().distribution == "tensorflow"


def test_traces_without_the_package_do_not_count(environment, build, tmp_path):
    environment(tensorflow="2.20.0")
    (tmp_path / "tensorflow" / "__init__.py").unlink()
    assert build.find_tensorflow([str(tmp_path)]) is None


def hook(code, **environment):
    """Runs the build's backend as pip does: in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"import masklstm_build; {code}"],
        env={**os.environ, "PYTHONPATH": str(SUPPORT), **environment},
        capture_output=True,
        text=True,
    )


REQUIRES = "print(masklstm_build.get_requires_for_build_wheel())"


def test_an_isolated_build_gets_the_minor_that_is_here():
    process = hook(REQUIRES)
    assert process.returncode == 0, process.stderr
    assert "cmake" in process.stdout
    found = subprocess.run(
        [sys.executable, SUPPORT / "installed_tensorflow.py"], capture_output=True, text=True
    )
    minor = ".".join(found.stdout.split(";")[1].split(".")[:2])
    assert f">={minor},<" in process.stdout


def test_without_native_part_nothing_else_is_needed():
    process = hook(REQUIRES, MASKLSTM_NATIVE="OFF", PATH="")
    assert process.stdout == "[]\n", process.stderr


def test_a_missing_compiler_is_said_before_anything_is_downloaded():
    process = hook(REQUIRES, PATH="", CXX="")
    assert process.returncode != 0
    assert process.stdout == ""
    assert "needs a C++ compiler" in process.stderr
    assert "MASKLSTM_NATIVE=OFF" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_wrong_minor_is_said_before_anything_is_downloaded():
    process = hook(REQUIRES, MASKLSTM_TENSORFLOW="2.17")
    assert process.returncode != 0
    assert "MASKLSTM_NATIVE=OFF" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("value", ["YES", "1", ""])
def test_native_is_on_or_off(value):
    process = hook(REQUIRES, MASKLSTM_NATIVE=value)
    assert process.returncode != 0
    assert "MASKLSTM_NATIVE must be ON or OFF" in process.stderr


@pytest.mark.parametrize("native", ["ON", "OFF"])
def test_metadata(tmp_path, native):
    code = "print(masklstm_build.prepare_metadata_for_build_wheel(sys.argv[1]))"
    process = subprocess.run(
        [sys.executable, "-c", f"import sys, masklstm_build; {code}", tmp_path],
        cwd=copied_sources(tmp_path),
        env={
            **os.environ,
            "PYTHONPATH": str(SUPPORT),
            "MASKLSTM_NATIVE": native,
            "MASKLSTM_TENSORFLOW": "tensorflow-cpu==2.19",
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    (about,) = tmp_path.glob("*.dist-info")
    metadata = importlib.metadata.Distribution.at(about).metadata
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    tensorflow = [line for line in required if line.startswith("tensorflow")]
    if native == "ON":
        assert tensorflow == ["tensorflow-cpu<2.20,>=2.19"]
        assert metadata["Version"].endswith("+tf219")
    else:
        assert tensorflow == ["tensorflow-cpu>=2.16"]
        assert "+" not in metadata["Version"]


def copied_sources(folder):
    """What setuptools reads to know the metadata; it writes beside it."""
    copy = folder / "sources"
    (copy / "masklstm").mkdir(parents=True)
    (copy / "masklstm" / "__init__.py").touch()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "_masklstm_command.py"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "build_support").symlink_to(SUPPORT)
    return copy


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not on this machine")
@pytest.mark.parametrize("kernels", ["ON", "OFF", "HERE"])
def test_the_instruction_sets_that_are_built(tmp_path, kernels):
    """HERE: of all that there are, the best of this machine."""
    import pybind11

    configured = subprocess.run(
        [
            *("cmake", "-S", ROOT, "-B", tmp_path, f"-DMASKLSTM_X86_KERNELS={kernels}"),
            *("-DMASKLSTM_OPS=OFF", "-DMASKLSTM_CUDA=OFF", "-DMASKLSTM_VERSION=0"),
            *(
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            ),
        ],
        capture_output=True,
        text=True,
    )
    assert configured.returncode == 0, configured.stderr
    found = json.loads((tmp_path / "build.json").read_text())["instruction_sets"]
    assert found[0] == "baseline"
    if platform.machine() in ("x86_64", "AMD64"):
        best = library.build_summary()["instruction_set"]
        expected = {"ON": ["avx2", "avx512"], "OFF": [], "HERE": [best]}[kernels]
        assert found[1:] == [name for name in expected if name != "baseline"]


def test_requirements_of_extras(monkeypatch):
    monkeypatch.syspath_prepend(str(SUPPORT))
    import requirements

    dev = requirements.requirements("dev")
    assert not any("masklstm" in each for each in dev)
    assert {"pandas>=2.0", "matplotlib>=3.8"} <= set(dev)
    assert len(requirements.requirements("demo")) < len(dev)
