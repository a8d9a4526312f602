"""The errors of inference, ordered by what the caller must do next."""


class InferenceError(Exception):
    """Base of every error that inference raises on purpose."""


class BundleError(InferenceError):
    """The bundle on disk is damaged, incomplete or of another pipeline: stop and install a good one."""


class PixelError(InferenceError):
    """The pixels of one instance cannot be decoded; the message names the instance and the transfer syntax."""
