"""What to train on: `trial.data`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from sweeper.study.config.base import Config, FieldError, Share, named, to_tuple
from sweeper.study.config.custom import CustomAugmentationConfig, Extensible, registration_of
from sweeper.study.words import show

__all__ = [
    "AffineConfig",
    "AugmentConfig",
    "CenterCropConfig",
    "ColorJitterConfig",
    "CutoutConfig",
    "DataConfig",
    "GrayscaleConfig",
    "HorizontalFlipConfig",
    "Noise",
    "PerspectiveConfig",
    "RandomCropConfig",
    "RotationConfig",
    "TestConfig",
    "VerticalFlipConfig",
]

Noise: TypeAlias = dict[str, dict[str, Share]]
"""True class, then given class, then how many."""
Zoom: TypeAlias = Annotated[float, Field(gt=0.0, le=10.0)]


class HorizontalFlipConfig(Config):
    """Mirror a picture left to right."""

    name: Literal["horizontal_flip"] = "horizontal_flip"
    probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Chance that a picture is flipped, drawn anew for each picture and epoch."""


class VerticalFlipConfig(Config):
    """Mirror a picture top to bottom."""

    name: Literal["vertical_flip"] = "vertical_flip"
    probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Chance that a picture is flipped, drawn anew for each picture and epoch."""


class RotationConfig(Config):
    """Rotate a picture about its centre; what comes in from outside is black."""

    name: Literal["rotation"] = "rotation"
    degrees: float = Field(gt=0.0, le=180.0)
    """The angle is drawn uniformly from ±degrees for each picture and epoch."""


class AffineConfig(Config):
    """Rotate, shift, scale and shear a picture about its centre; what comes in from outside is black."""

    name: Literal["affine"] = "affine"
    degrees: float = Field(default=0.0, ge=0.0, le=180.0)
    """The angle is drawn uniformly from ±degrees for each picture and epoch."""
    translate: float = Field(default=0.0, ge=0.0, le=1.0)
    """Largest shift along each axis, as a share of the picture's side; drawn uniformly from ± this."""
    scale: Annotated[tuple[Zoom, Zoom], BeforeValidator(to_tuple)] = (1.0, 1.0)
    """Least and largest factor by which a picture is enlarged; drawn uniformly."""
    shear: float = Field(default=0.0, ge=0.0, lt=90.0)
    """The horizontal shear is drawn uniformly from ± this many degrees."""

    @model_validator(mode="after")
    def _check(self) -> AffineConfig:
        if self.scale[0] > self.scale[1]:
            raise FieldError(f"given {list(self.scale)}; allowed: [least, largest]", "scale")
        return self


class PerspectiveConfig(Config):
    """See a picture from an angle: its corners are moved inwards at random; what comes in from outside is black."""

    name: Literal["perspective"] = "perspective"
    distortion: float = Field(default=0.5, gt=0.0, le=1.0)
    """Largest move of a corner along each axis, as a share of half the picture's side."""
    probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Chance that a picture is changed, drawn anew for each picture and epoch."""


class GrayscaleConfig(Config):
    """Take the colour out of a picture: all channels become its luminance."""

    name: Literal["grayscale"] = "grayscale"
    probability: float = Field(default=0.1, ge=0.0, le=1.0)
    """Chance that a picture is changed, drawn anew for each picture and epoch."""


class CenterCropConfig(Config):
    """Cut out the middle of a picture and enlarge it to the whole. The same for each picture and epoch."""

    name: Literal["center_crop"] = "center_crop"
    share: float = Field(gt=0.0, lt=1.0)
    """Side of what is cut out, as a share of the picture's side."""


class RandomCropConfig(Config):
    """Cut a piece out of a picture at a random place and enlarge it to the whole."""

    name: Literal["random_crop"] = "random_crop"
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    """Side of the piece, as a share of the picture's side."""
    padding: int = Field(default=0, ge=0, le=256)
    """Pixels of black that are put around the picture first."""

    @model_validator(mode="after")
    def _check(self) -> RandomCropConfig:
        if self.share == 1.0 and self.padding == 0:
            raise FieldError("given 1 without padding, which cuts out all; allowed: below 1, or with padding", "share")
        return self


class ColorJitterConfig(Config):
    """Change brightness, contrast, saturation and hue, in this order, by draws for each picture and epoch."""

    name: Literal["color_jitter"] = "color_jitter"
    brightness: float = Field(default=0.0, ge=0.0, le=1.0)
    """The factor is drawn uniformly from 1 ± this."""
    contrast: float = Field(default=0.0, ge=0.0, le=1.0)
    """The factor is drawn uniformly from 1 ± this."""
    saturation: float = Field(default=0.0, ge=0.0, le=1.0)
    """The factor is drawn uniformly from 1 ± this. Without effect on one channel."""
    hue: float = Field(default=0.0, ge=0.0, le=0.5)
    """The shift is drawn uniformly from ± this share of the colour circle. Without effect on one channel."""


class CutoutConfig(Config):
    """Black out a square at a random place (DeVries and Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    share: float = Field(gt=0.0, lt=1.0)
    """Side of the square, as a share of the picture's side. Its centre lies anywhere in the picture."""
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    """Chance that a picture is changed, drawn anew for each picture and epoch."""


AugmentConfig: TypeAlias = Annotated[
    HorizontalFlipConfig
    | VerticalFlipConfig
    | RotationConfig
    | AffineConfig
    | PerspectiveConfig
    | GrayscaleConfig
    | CenterCropConfig
    | RandomCropConfig
    | ColorJitterConfig
    | CutoutConfig
    | CustomAugmentationConfig,
    Extensible("augmentation"),
]


class TestConfig(Config):
    """The test part, class by class, for a data set that comes without one of its own or with too large a one."""

    counts: dict[str, Annotated[int, Field(ge=1)]] | None = None
    """Test pictures of each class. Classes that are not named keep all of the data set's own test pictures; where it
    has none, each class must be named."""
    noise: Noise | None = None
    """Labels of test pictures that are made wrong, as in `data.noise`."""


class DataConfig(Config):
    """What to train on, how it is split, and what is done to the pictures."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "stl10", "flowers102", "functions", "folder"]
    """The data set. `folder` is any folder of pictures with one folder a class. `functions` is a regression: three
    functions of vectors of 64 numbers, laid out as pictures of 8×8; see docs/how-to/regression.md."""
    path: str | None = None
    """Folder of pictures, relative to `SWEEPER_DATA` if that is set, else to the working directory. It holds one folder
    a class, or `train/` and, optionally, `val/` and `test/` with one folder a class in each. Beside a name other than
    `folder`: where this folder exists, it is read instead of torchvision's files of that data set, and its pictures are
    brought to the size and the channels of that data set."""
    classes: Annotated[tuple[str, ...], Field(min_length=2), BeforeValidator(to_tuple)] | dict[str, str] | None = None
    """The classes that are kept, in this order. As a mapping: the name to be used, then the data set's own name.
    Default: all."""
    counts: dict[str, Annotated[int, Field(ge=1)]] | None = None
    """Pictures of each class for training and validation together, drawn with `split_seed`. Classes that are not named
    keep all that they have."""
    subset: Share | None = None
    """Size of what is kept for training and validation together, a count (integer) or a share, stratified; after
    `counts`."""
    noise: Noise | None = None
    """Labels that are made wrong: true class, then given class, then number (integer) or share of the pictures of the
    true class. They are drawn from those for training and validation with `split_seed`. Both labels are kept: the given
    one is trained on, and metrics with `true_` in their names are measured against the true one."""
    relabel: str | None = None
    """CSV file with corrected labels, relative to the working directory: the columns `picture` and `label`, as
    `sweeper audit-labels` writes it. A picture with an empty label is left out. Pictures for training and validation
    only. The split stays as it is without this file."""
    image_size: int | None = Field(default=None, ge=4, le=2048)
    """Height and width in pixels to which pictures are resized once, when they are decoded. Default: as they are."""
    resize: int | None = Field(default=None, ge=4, le=4096)
    """Pixels to which the shorter side is resized before the middle of `image_size` is cut out. Default: the whole
    picture is resized to `image_size`, whatever its proportions."""
    grayscale: bool = False
    """Turn RGB pictures into one channel of luminance."""
    split: Literal["official", "stratified"] = "official"
    """With `official`, the pictures that the data set itself holds out are these parts: the test pictures of nearly all
    of them, the validation pictures of Flowers-102, `val/` and `test/` of a folder; `validation` and `test` then say
    what is held out where it has none. With `stratified`, all its pictures are put together and split by `test` and
    `validation`: for 50/25/25, `test: 0.25` and `validation: 0.3333` (a quarter of all is a third of what test
    leaves)."""
    train: Share | None = None
    """Size of the training part: a count of pictures (integer) or a share (fraction below 1) of the data set's
    training pictures, stratified. Default: all that validation leaves."""
    validation: Share = 0.15
    """Size of the validation part, a count (integer) or a share of the data set's training pictures, stratified; where
    it has no validation pictures of its own, see `split`."""
    test: Annotated[float, Field(gt=0.0, lt=1.0)] | TestConfig = 0.2
    """Share held out as test, stratified, where the data set comes without a test set of its own, see `split`; or
    counts of each class."""
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the split, of `counts`, `subset` and `noise`. Trials with the same seed see the same pictures in the same
    parts, whatever their labels; more of a class, or more wrong labels, adds to those of fewer."""
    normalize: bool | Literal["imagenet"] = True
    """Subtract a mean and divide by a deviation, per channel: those of the training pictures, or ImageNet's, which
    pretrained networks need. With `false`, values are 0 to 1."""
    augment: Annotated[tuple[Annotated[AugmentConfig, BeforeValidator(named)], ...], BeforeValidator(to_tuple)] = ()
    """Augmentations of the training pictures, applied in this order, drawn per picture and epoch."""

    @property
    def own_class_names(self) -> tuple[str, ...] | None:
        """The data set's own names of the classes that are kept, in order; None for all of them."""
        return (
            None
            if self.classes is None
            else tuple(self.classes.values() if isinstance(self.classes, dict) else self.classes)
        )

    @property
    def kept_class_names(self) -> tuple[str, ...] | None:
        """The names used for the classes that are kept, in order; None for all of them."""
        return None if self.classes is None else tuple(self.classes)

    @property
    def has_true_labels(self) -> bool:
        """Whether labels are made wrong on purpose, so that true ones are known beside the given ones."""
        return bool(self.noise) or (isinstance(self.test, TestConfig) and bool(self.test.noise))

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if self.name == "folder" and self.path is None:
            raise FieldError("is missing; name the folder of pictures", "path")
        custom = registration_of(self)
        reads_files = self.name not in ("digits", "functions") if custom is None else "path" in custom.takes
        if self.path is not None and not reads_files:
            raise FieldError(f"given {show(self.path)} with name: {self.name}; allowed: with sets of pictures", "path")
        if isinstance(self.train, float) and isinstance(self.validation, float) and self.train + self.validation > 1.0:
            raise FieldError(
                f"given {self.train} beside a validation of {self.validation}, more than the whole; "
                "allowed: shares that add up to at most 1",
                "train",
            )
        if self.resize is not None and (self.image_size is None or self.image_size > self.resize):
            raise FieldError(f"given {self.resize}; allowed: with an image_size of at most this", "resize")
        if self.name == "functions":
            for field in ("classes", "counts", "noise", "relabel", "image_size", "augment"):
                if getattr(self, field):
                    raise FieldError("given with name: functions; allowed: with sets of pictures", field)
            if isinstance(self.test, TestConfig):
                raise FieldError("given counts or noise with name: functions; allowed: a share", "test")
        names = self.own_class_names
        if names is not None and (len(set(names)) < len(names) or len(names) < 2):
            raise FieldError(f"given {show(list(names))}; allowed: two classes or more, each once", "classes")
        _check_noise(self.noise, ("noise",))
        if isinstance(self.test, TestConfig):
            _check_noise(self.test.noise, ("test", "noise"))
        return self


def _check_noise(noise: Noise | None, field: tuple[str, ...]) -> None:
    for true_class, given in (noise or {}).items():
        if true_class in given:
            raise FieldError(f"given {show(true_class)} as its own wrong label; allowed: other classes", *field)
        if sum(share for share in given.values() if isinstance(share, float)) > 1.0:
            raise FieldError(f"given shares of {show(true_class)} that add up to more than 1", *field, true_class)
