"""The type of `models.definition.DATASET`: fields and validation rules."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from models.validation import Frozen

StatisticName = Literal[
    "mean_intensity", "contrast", "bright_fraction", "border_bright_fraction", "colorfulness"
]
"""Names of the functions in `models.image_statistics`."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Share = Annotated[Fraction, BeforeValidator(lambda value: Fraction(str(value)))]
"""An exact fraction: 0.1 means 1/10, not the nearest float."""

DottedPath = Annotated[str, StringConstraints(pattern=r"^(models(\.\w+)+)?$")]
"""Path of a function in this package, such as "models.digits.framing.to_mnist"; "" for none."""


class BundledSample(Frozen):
    """A sample of the data set, shipped by an installed package, for runs without network access.

    Attributes:
      dataset: TFDS name and version of the sampled data set, such as "mnist/3.0.1".
      package: PyPI distribution that ships the sample.
      load: path of a function without arguments that returns uint8 images of shape (n,
        *image_shape) and int64 labels of shape (n,), always in the same order.
    """

    dataset: Text
    package: Text
    load: Annotated[DottedPath, Field(min_length=1)]


class DatasetDefinition(Frozen):
    """Facts about a labeled image data set. All other code derives from them.

    Attributes:
      name: name of the pipeline, the served model and its directory. Starts with a letter,
        followed by letters, digits and hyphens, all in lower case.
      title: display name, such as "Fashion-MNIST".
      noun: term for a class in user-facing text, such as "digit" or "garment".
      tfds_name: name of the data set in `tensorflow_datasets`. It must have the splits `train`
        and `test`, and the features `image` and `label`.
      tfds_version: exact version.
      download_url: one of the files that TFDS downloads, used to check that the host is
        reachable; None skips the check.
      image_shape: height, width and channels (1 for grayscale, 3 for RGB).
      class_names: class names, indexed by label; must equal the names in TFDS.
      picture_form: description of the pictures that the model expects, as a noun phrase.
      picture_preprocessing: path of a `models.pictures.PicturePreprocessing` that converts any
        picture to that form; "" only resizes and pads pictures.
      least_confidence: smallest probability of the predicted class at which a picture is not
        declined (`models.pictures.combine_views`); 0 disables this rule. Choose it on validation
        images.
      validation_share: share of TFDS's split `train` that is used for validation.
      image_statistics: per-image statistics that the schema bounds, because TFDV can't inspect
        pixels.
      bundled_sample: None if no package ships one.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    title: Text
    noun: Text = "class"
    tfds_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(/[\w.-]+)?$")]
    tfds_version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    download_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+")] | None = None
    image_shape: tuple[PositiveInt, PositiveInt, Literal[1, 3]]
    class_names: Annotated[tuple[Text, ...], Field(min_length=2)]
    picture_form: Text = "a picture like those in the data set"
    picture_preprocessing: DottedPath = ""
    least_confidence: Annotated[float, Field(ge=0, lt=1)] = 0
    validation_share: Annotated[Share, Field(gt=0, lt=1)] = Fraction(1, 10)
    image_statistics: Annotated[tuple[StatisticName, ...], Field(min_length=1)]
    bundled_sample: BundledSample | None = None

    @property
    def tfds_id(self) -> str:
        """TFDS name and version, such as "mnist/3.0.1"; also a path in TFDS's data directory."""
        return f"{self.tfds_name}/{self.tfds_version}"

    @field_validator("class_names", "image_statistics")
    @classmethod
    def _check_unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"expected each name once, received {', '.join(repeated)} again")
        return names

    @model_validator(mode="after")
    def _check_sample(self) -> Self:
        """Prevents falling back to a different data set."""
        if self.bundled_sample is not None and self.bundled_sample.dataset != self.tfds_id:
            raise ValueError(
                f"expected a bundled_sample of {self.tfds_id}, received one of "
                f"{self.bundled_sample.dataset}: remove it, or name one of the same data set"
            )
        return self
