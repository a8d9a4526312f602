"""The errors of report building."""


class ReportError(Exception):
    """A report cannot be built from what was given; the message names the missing part."""


class NotMadeError(ReportError):
    """One object beside the SR cannot be made from these images; the message says why, without patient data."""


class ReportCheckError(ReportError):
    """A finished object contradicts its source or the findings. It must not be sent; report "not analysed" instead."""
