"""Which TensorFlow a build of masklstm is for.

One build serves one minor version of TensorFlow, whose C++ interface changes with each. The version
is read from the metadata of whatever distribution provides the package `tensorflow`, without
importing it.

    python build_support/installed_tensorflow.py         # for CMake: its folder and version
    python build_support/installed_tensorflow.py minors  # those that are built for, the newest last
"""

import importlib.metadata
import os
import platform
import re
import site
import sys
from pathlib import Path
from typing import NamedTuple

# Those that are built and tested (scripts/test_minor.sh), the newest last.
MINORS = ("2.18", "2.19", "2.20", "2.21")
# The oldest one that the pure-TensorFlow reference runs on (MASKLSTM_NATIVE=OFF).
FIRST_PURE = "2.16"
CHOICE = "MASKLSTM_TENSORFLOW"


class BuildError(Exception):
    """A text for the person who builds."""


class TensorFlow(NamedTuple):
    distribution: str
    """What provides it: tensorflow, tensorflow-cpu or another name."""
    version: str
    """A whole version, or the minor one alone where none is installed yet."""
    folder: Path | None = None
    """Where it is installed."""

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def find_tensorflow(folders: list[str] | None = None) -> TensorFlow | None:
    """The installed one, in these folders instead of those that Python imports from."""
    found = []
    for distribution in importlib.metadata.distributions(path=folders or sys.path):
        if "tensorflow" not in (distribution.read_text("top_level.txt") or "").split():
            continue
        folder = Path(str(distribution.locate_file("tensorflow")))
        if (folder / "__init__.py").exists():
            name = distribution.metadata["Name"].lower().replace("_", "-")
            found.append(TensorFlow(name, distribution.version, folder))
    if len({each.minor for each in found}) > 1:
        # pip puts one over the other, and neither can be imported.
        names = " and ".join(f"{each.distribution} {each.version}" for each in found)
        everything = " ".join(each.distribution for each in found)
        raise BuildError(
            f"{names} are installed over each other in {found[0].folder}. Remove both "
            f"(`pip uninstall {everything}`) and install the one that you want."
        )
    # `tensorflow` where another one is a part of it.
    return min(found, key=lambda each: each.distribution, default=None)


def target() -> TensorFlow:
    """The one to build for: as MASKLSTM_TENSORFLOW says, or that of the environment that the
    package goes into, or the newest.

    pip builds in an environment of its own, where Python does not import from the other one; but it
    is the same Python, which knows where that one is.
    """
    there = find_tensorflow(_folders_of_environment())
    if there is None and not is_isolated_by_pip():
        there = find_tensorflow()
    choice = os.environ.get(CHOICE)
    if choice:
        match = re.fullmatch(r"(?:(tensorflow[\w.-]*)==)?(\d+\.\d+)(?:\.[\w.*]+)?", choice.strip())
        if match is None:
            raise BuildError(
                f"{CHOICE} must be a version of TensorFlow, as in {CHOICE}={MINORS[-1]} or "
                f"{CHOICE}=tensorflow-cpu=={MINORS[-1]}. Received: {choice!r}"
            )
        return TensorFlow(match[1] or (there.distribution if there else "tensorflow"), match[2])
    return there or TensorFlow("tensorflow", MINORS[-1])


def check_visible() -> None:
    """Raises where nothing says which TensorFlow the package goes beside.

    pip lets an isolated build see that; other tools do not, and a requirement that is merely
    guessed would put another TensorFlow over the one that is there.
    """
    if CHOICE in os.environ or is_isolated_by_pip():
        return
    raise BuildError(
        "Only pip lets a build see the environment that the package goes into. Say which "
        f"TensorFlow that has, or is to get: {CHOICE}={MINORS[-1]} for `tensorflow`, "
        f"{CHOICE}=tensorflow-cpu=={MINORS[-1]} for `tensorflow-cpu`."
    )


def check_minor(tensorflow: TensorFlow, native: bool) -> None:
    """Raises for a minor version that no native part is built for, or without one for one that is
    too old.
    """
    is_too_old = _number(tensorflow.minor) < _number(FIRST_PURE)
    if tensorflow.minor in MINORS or not (native or is_too_old):
        return
    way_out = "Set MASKLSTM_NATIVE=OFF to run on the slower pure-TensorFlow reference"
    if is_too_old:
        way_out = f"TensorFlow {FIRST_PURE} is the oldest one that masklstm runs on at all"
    where = f" in {tensorflow.folder}" if tensorflow.folder else ""
    raise BuildError(
        f"masklstm's native part is built for TensorFlow {', '.join(MINORS)}. "
        f"Found: {tensorflow.distribution} {tensorflow.version}{where}. {way_out}."
    )


def requirement(tensorflow: TensorFlow, native: bool) -> str:
    """What the built package requires. It names the distribution that is there: another one of the
    same version would be installed over it.
    """
    if not native:
        return f"{tensorflow.distribution}>={FIRST_PURE}"
    return f"{tensorflow.distribution}{_of_minor(tensorflow.minor)}"


def build_requirement(tensorflow: TensorFlow) -> str:
    """What an isolated build installs for itself."""
    minor = _of_minor(tensorflow.minor)
    # Half the size of the full wheel; libraries built against it work with both. Where it alone
    # would be found later, it must be the one that the package requires.
    is_known = is_isolated_by_pip() or "==" in os.environ.get(CHOICE, "")
    if is_known and platform.machine() == "x86_64":
        return f"tensorflow-cpu{minor}"
    return f"{tensorflow.distribution}{minor}"


def is_isolated_by_pip() -> bool:
    """Whether pip has made an environment for this build alone."""
    return any("pip-build-env" in folder for folder in sys.path)


def _of_minor(minor: str) -> str:
    major, number = _number(minor)
    return f">={minor},<{major}.{number + 1}"


def _number(minor: str) -> tuple[int, int]:
    major, number = minor.split(".")
    return int(major), int(number)


def _folders_of_environment() -> list[str]:
    folders = site.getsitepackages()
    if sys.prefix == sys.base_prefix:
        folders.append(site.getusersitepackages())
    return folders


def main() -> None:
    if sys.argv[1:] == ["minors"]:
        print(*MINORS)
        return
    try:
        found = find_tensorflow()
        if found is None:
            raise BuildError(
                f"TensorFlow is needed to build masklstm, but {sys.executable} has none. Expected "
                f"one of the versions {', '.join(MINORS)}, as after "
                f"`pip install 'tensorflow=={MINORS[-1]}.*'`."
            )
        check_minor(found, native=True)
    except BuildError as problem:
        sys.exit(str(problem))
    print(found.folder, found.version, sep=";", end="")


if __name__ == "__main__":
    main()
