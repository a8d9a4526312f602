"""The bundle that ships with the node: trained on the synthetic phantom, measured on patients of unseen scanners."""
