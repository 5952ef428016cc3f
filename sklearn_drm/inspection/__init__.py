"""Pictures of a fitted two-way model, in the style of scikit-learn's displays.

Drawing needs matplotlib, which is imported at the first ``plot``.
"""

from sklearn_drm.inspection.receptive_fields import ReceptiveFieldsDisplay
from sklearn_drm.inspection.reconstructions import ReconstructionDisplay
from sklearn_drm.inspection.training_curves import TrainingCurvesDisplay

__all__ = [
    "ReceptiveFieldsDisplay",
    "ReconstructionDisplay",
    "TrainingCurvesDisplay",
]
