"""The framework over labelled patients: strategies, the detector beside its labels, planted lesions hit."""
