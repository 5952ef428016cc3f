"""``python -m sklearn_drm.lipspeech`` is the command ``sklearn-drm``."""

from sklearn_drm.lipspeech.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
