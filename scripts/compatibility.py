"""Run the tests on other versions of Python and scikit-learn, and print a table.

    python scripts/compatibility.py [--python 3.11 3.12 3.13]
        [--scikit-learn lowest 1.7 1.8 1.9] [--full] [--environments DIR]
        [pytest arguments]

Every combination whose Python is found gets an environment of its own, kept in DIR
(default: ``.compatibility``) for the next run. Without ``--full`` only the core is
installed and tested: estimators, scikit-learn's checks, learning, persistence.
``lowest`` stands for the oldest version of everything that pyproject.toml allows; on a
Python that they are too old for, it is not installable.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ["pytest", "hypothesis", "pandas", "skops"]
CORE_TESTS = [
    "tests/test_chain.py",
    "tests/test_ggdrm.py",
    "tests/test_learning.py",
    "tests/test_metadata.py",
    "tests/test_persistence.py",
    "tests/test_sklearn_checks.py",
    "tests/test_swap_views.py",
    "tests/test_two_view.py",
]


def interpreter(version: str) -> str | None:
    """A Python of this version: on the path, or pyenv's."""
    found = shutil.which(f"python{version}")
    candidates = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*"))
    for path in [found, *[str(p / "bin/python") for p in candidates]]:
        if path is None:
            continue
        check = "import sys; print('%d.%d' % sys.version_info[:2])"
        reply = subprocess.run([path, "-c", check], capture_output=True, text=True)
        if reply.stdout.strip() == version:
            return path
    return None


def lowest_versions() -> list[str]:
    """The oldest versions allowed, as constraints for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"]]
    for name in ("lipspeech", "experiment", "onnx", "test"):
        wanted += extras[name]
    found = (re.match(r"([\w-]+)>=([\d.]+)", each) for each in wanted)
    return [f"{match[1]}=={match[2]}.*" for match in found if match]


def prepared(folder: Path, python: str, sklearn: str, full: bool) -> str | None:
    """The environment's Python; the reason why there is none is printed."""
    own = str(folder / "bin" / "python")
    if not Path(own).exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    # The application's extra too: tests of the core use its transformers.
    package = f"{ROOT}[test]" if full else f"{ROOT}[lipspeech]"
    extra = [] if full else CORE
    constraints = folder / "constraints.txt"
    exact = lowest_versions() if sklearn == "lowest" else [f"scikit-learn=={sklearn}.*"]
    constraints.write_text("\n".join(exact))
    wanted = ["-c", str(constraints), "-e", package, *extra]
    command = [own, "-m", "pip", "install", "--quiet", *wanted]
    reply = subprocess.run(command, capture_output=True, text=True)
    if reply.returncode:
        print(reply.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return own


def tested(python: str, arguments: list[str]) -> tuple[str, bool]:
    """Last line of pytest's output, and whether all passed."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'transformers'}"}
    reply = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = reply.stdout.strip().splitlines() or reply.stderr.strip().splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(line, file=sys.stderr)
    return lines[-1].strip("= ") if lines else "no output", reply.returncode == 0


def main() -> int:
    """Print the table; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13"])
    parser.add_argument(
        "--scikit-learn", nargs="+", default=["lowest", "1.7", "1.8", "1.9"]
    )
    parser.add_argument("--full", action="store_true", help="the whole suite")
    parser.add_argument(
        "--environments", type=Path, default=ROOT / ".compatibility", metavar="DIR"
    )
    options, rest = parser.parse_known_args()
    arguments = rest or ([] if options.full else ["-m", "not slow", *CORE_TESTS])
    rows, failed = [], False
    for version in options.python:
        python = interpreter(version)
        for sklearn in options.scikit_learn:
            start = time.monotonic()
            own = None
            if python is not None:
                folder = options.environments / f"py{version}-sklearn{sklearn}"
                own = prepared(folder, python, sklearn, options.full)
            if own is None:
                result = "not installable" if python else "no such Python here"
            else:
                result, passed = tested(own, arguments)
                failed |= not passed
            seconds = time.monotonic() - start
            rows.append(f"| {version} | {sklearn} | {result} | {seconds:.0f} s |")
            print(rows[-1], file=sys.stderr)
    head = [
        "| Python | scikit-learn | result | with installation |",
        "|---|---|---|---|",
    ]
    print("\n".join([*head, *rows]))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
