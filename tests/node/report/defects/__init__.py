"""Faults planted into good objects, one at a time: each is one that a change of a builder could make."""

from tests.node.report.defects.catalogue import DEFECTS, Defect, Objects

__all__ = ["DEFECTS", "Defect", "Objects"]
