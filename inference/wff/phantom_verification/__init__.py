"""What the phantom proves of the framework: items (a)-(j) of the phantom specification, measured on the spot.

Synthetic phantom, no clinical meaning. Controls that must fail (difficulty 0, shuffled labels, style alone, lesion
masked) are trained and read like everything else and must stay at an area of .5; beside each stands a positive control
that must not, so that a control which could not have told anything is not taken for a proof.
"""
