"""Why a case was decided as it was, as one page for a person."""
