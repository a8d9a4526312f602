"""From a labelled data set to a bundle: settings, splits, the two nets, cross-validation, model card."""
