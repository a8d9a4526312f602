"""Why a case was decided so: the arithmetic of Eq. 1 and the votes, what would have changed it, a map per lesion."""
