"""The type of `models.definition.DATASET`: its fields, and the rules that they must satisfy."""

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
"""0.1 means 1/10, not the float nearest to it."""

DottedPath = Annotated[str, StringConstraints(pattern=r"^(models(\.\w+)+)?$")]
"""Path of a function in this package, such as "models.digits.framing.to_mnist"; "" for none."""


class BundledSample(Frozen):
    """A sample of the data set that an installed package ships, for runs without network.

    Attributes:
      dataset: TFDS name and version of the data set that it is a sample of, "mnist/3.0.1".
      package: distribution on PyPI that ships it.
      load: path of a function without arguments that returns uint8 images of shape (n,
        *image_shape) and int64 labels of shape (n,), in an order that is the same in each call.
    """

    dataset: Text
    package: Text
    load: Annotated[DottedPath, Field(min_length=1)]


class DatasetDefinition(Frozen):
    """The facts about a labeled image data set that everything else derives from.

    Attributes:
      name: of the pipeline, of the served model and of its directory; a letter, then letters,
        digits and hyphens, all in lower case.
      title: for people, such as "Fashion-MNIST".
      noun: what one class is called in text for people, such as "digit" or "garment".
      tfds_name: of the data set in `tensorflow_datasets`. It must have the splits `train` and
        `test`, and the features `image` and `label`.
      tfds_version: exact version.
      download_url: one of the files that TFDS downloads, to find out whether its host can be
        reached; None tries the download itself.
      image_shape: height, width and channels (1 for grayscale, 3 for RGB).
      class_names: by label, from 0; equal to the names that TFDS has.
      picture_form: what a picture must look like to be classified as it is, in a clause.
      picture_preprocessing: path of a `models.pictures.PicturePreprocessing`, which brings any
        picture to that form; "" resizes and pads it.
      least_confidence: pictures are declined below this probability of the predicted class
        (`models.pictures.combine_views`); 0 declines none for it. Choose it on validation images.
      validation_share: share of TFDS's split `train` that is used for validation.
      image_statistics: statistics of each image for the schema to bound, because TFDV can't look
        into image bytes.
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
        """TFDS name and version, "mnist/3.0.1": the directory below TFDS's data directory."""
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
        """Data must never be replaced by those of another data set."""
        if self.bundled_sample is not None and self.bundled_sample.dataset != self.tfds_id:
            raise ValueError(
                f"expected a bundled_sample of {self.tfds_id}, received one of "
                f"{self.bundled_sample.dataset}: remove it, or name one of the same data set"
            )
        return self
