"""What an experiment measures, in the order of its tables."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURES", "Figure", "Measure"]


@dataclass(frozen=True)
class Figure:
    """One measure of one system.

    Attributes
    ----------
    value : float or None
        Over all test clips; None where it is undefined or not predicted.
    spread : float or None
        Standard deviation over clips; None with fewer than two of them.
    clips : tuple of float or None
        The clips' own values.
    """

    value: float | None
    spread: float | None
    clips: tuple[float | None, ...]


@dataclass(frozen=True)
class Measure:
    """One column of the experiment's table.

    Attributes
    ----------
    key : str
        Name in ``results.json``.
    head : str
        Name in tables.
    digits : int
        Decimals shown.
    best : {'high', 'low', 'one'}
        Which values are good.
    view : {'speech', 'lips'}
        What is predicted.
    meaning : str
        One sentence for readers of the report.
    """

    key: str
    head: str
    digits: int
    best: str
    view: str
    meaning: str


MEASURES = (
    Measure("r2_speech", "R² raw", 3, "high", "speech",
            "share of the mel-cepstra's variance that is predicted, pooled over "
            "dimensions standardised on the training clips; 0 is their mean"),
    Measure("correlation_speech", "ρ", 3, "high", "speech",
            "correlation of predicted and natural mel-cepstra, pooled likewise; "
            "scaling a prediction cannot change it"),
    Measure("mcd", "MCD (dB)", 2, "low", "speech",
            "mel-cepstral distortion without the level"),
    Measure("variance_median", "variance, median", 2, "one", "speech",
            "variance of the prediction over that of natural speech, median over "
            "the mel-cepstral dimensions; far below 1 is speech averaged over all "
            "frames"),
    Measure("variance_pooled", "variance, pooled", 2, "one", "speech",
            "the same, pooled over dimensions"),
    Measure("variance_in_band", "dims in 0.7–1.3", 2, "high", "speech",
            "share of dimensions whose variance ratio lies between 0.7 and 1.3"),
    Measure("modulation", "mod. spectrum (dB)", 1, "low", "speech",
            "distance between the modulation spectra, mean over clips, of predicted "
            "and natural mel-cepstra"),
    Measure("stoi", "STOI", 3, "high", "speech",
            "short-time objective intelligibility of the generated sound"),
    Measure("estoi", "ESTOI", 3, "high", "speech",
            "its extended form, which unlike the plain one notices missing "
            "movement of the spectrum"),
    Measure("r2_lips", "R² raw", 3, "high", "lips",
            "share of the lip features' variance that is predicted, differences "
            "between clips included, of which nothing is given away"),
    Measure("variance_lips", "variance", 2, "one", "lips",
            "variance of the predicted lip features inside a clip over that of the "
            "true ones, pooled over dimensions"),
    Measure("r2_pixels", "R² pixels", 3, "high", "lips",
            "share of the grey values' variance around the mean training image that "
            "is predicted"),
    Measure("ssim", "SSIM", 3, "high", "lips",
            "structural similarity of generated and true lip images"),
)  # fmt: skip
"""What is measured, in the order of the table."""
