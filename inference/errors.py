"""The errors of inference, ordered by what the caller must do next."""


class InferenceError(Exception):
    """Base of every error that inference raises on purpose."""


class BundleError(InferenceError):
    """The bundle on disk is damaged, incomplete or of another pipeline: stop and install a good one."""


class PixelError(InferenceError):
    """The pixels of one instance cannot be decoded; the message names the instance and the transfer syntax."""


class SettingsError(InferenceError):
    """A settings or split file says what cannot be done; the message names the file and the key to mend."""


class TrainingError(InferenceError):
    """Training cannot go on: the run folder, the data set or the numbers say why."""


class WeightsError(InferenceError):
    """A file of pretrained weights is not what it should be, or fits another net; the message names both."""


class EvaluationError(InferenceError):
    """The patients or the readers' file do not allow what was asked; the message says what is missing."""


class LabelsError(InferenceError):
    """A labelled folder, its pathology file or the wanted data set cannot be used; the message says what to do."""


class CalibrationError(InferenceError):
    """A site's cases cannot calibrate the model, or would make it worse; the message gives the numbers."""


class ExplanationError(InferenceError):
    """An answer cannot be explained: a library, the pipeline of the bundle or the images say why."""
