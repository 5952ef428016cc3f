"""Read damaged copies of a clip: no crash, no hang, no unbounded memory.

    python scripts/fuzz_clips.py [CLIP] [--count 300] [--seed 0] [--keep DIR]

Each case is a truncation, a run of flipped bits, a hole of zeros or bytes of noise,
by a fixed seed. It is read as video and as sound in a process of its own with limits
on time and memory; it has to give a clip or a ``ClipError`` of one line. Files that do
neither are kept in DIR.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SECONDS = 10
BYTES = 3 << 30

_READER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
import numpy as np
from drm_transformers.clips import ClipError, read_clip, read_sound
import signal
for path in sys.argv[1:]:
    # One case after the other: importing the libraries costs more than a case.
    signal.alarm({seconds})
    for read in (read_clip, read_sound):
        try:
            result = read(path)
        except ClipError as error:
            assert "\\n" not in str(error) and path in str(error), str(error)
        else:
            if read is read_clip:
                assert len(result.frames) and result.frames.dtype == np.uint8
                assert result.waveform is None or np.isfinite(result.waveform).all()
            else:
                assert np.isfinite(result[0]).all()
    signal.alarm(0)
    print("done", path, flush=True)
"""


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """One damaged copy."""
    content = bytearray(whole)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(content[: int(rng.integers(0, len(whole)))])
    # Headers are what readers trust: half of the damage goes there.
    reach = 2000 if rng.random() < 0.5 else len(whole)
    if kind == 1:
        for place in rng.integers(0, min(reach, len(whole)), int(rng.integers(1, 60))):
            content[place] ^= 1 << int(rng.integers(8))
        return bytes(content)
    start = int(rng.integers(0, min(reach, len(whole))))
    length = int(rng.integers(1, 4000))
    filling = bytes(length) if kind == 2 else rng.bytes(length)
    content[start : start + length] = filling
    return bytes(content)


def failures(
    clip: Path, count: int, seed: int, folder: Path, chunk: int = 25
) -> list[tuple[Path, str]]:
    """Files that broke the reader, with the reason; the others are removed."""
    whole, rng = clip.read_bytes(), np.random.default_rng(seed)
    found = []
    for start in range(0, count, chunk):
        waiting = []
        for number in range(start, min(start + chunk, count)):
            waiting.append(folder / f"case-{seed}-{number}{clip.suffix}")
            waiting[-1].write_bytes(damaged(whole, rng))
        while waiting:
            code = _READER.format(bytes=BYTES, seconds=SECONDS)
            # The alarm ends a hang in one case; this, one in the alarm's blind spot.
            reply = subprocess.run(
                [sys.executable, "-c", code, *map(str, waiting)],
                capture_output=True,
                text=True,
                timeout=60 + SECONDS * len(waiting),
            )
            lines = [x for x in reply.stdout.splitlines() if x.startswith("done")]
            for path in waiting[: len(lines)]:
                path.unlink()
            waiting = waiting[len(lines) :]
            if reply.returncode and waiting:
                last = (reply.stderr.strip().splitlines() or [""])[-1]
                reason = f"exit {reply.returncode}: {last}"
                found.append((waiting.pop(0), reason))
    return found


def main() -> int:
    """Print what broke; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="default: a synthetic one")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    clip = options.clip or synthetic(folder / "whole.mp4")
    found = failures(clip, options.count, options.seed, folder)
    for path, reason in found:
        print(f"{path}: {reason}")
    print(f"{options.count} cases of {clip.name}, {len(found)} failures")
    return int(bool(found))


def synthetic(path: Path) -> Path:
    """Write a short synthetic clip."""
    from drm_transformers.clips import write_clip
    from sklearn_drm.lipspeech import make_lip_speech

    (clip,) = make_lip_speech(1, 1.2, size=110, random_state=3)
    write_clip(path, clip.frames, clip.frame_rate, clip.waveform, clip.sample_rate)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
