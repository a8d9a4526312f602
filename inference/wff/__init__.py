"""The weighted fusion framework: lesion detector, sequence classifier, age, fused into votes.

Source: Liu et al., Insights into Imaging 2022, 13:87.
"""
