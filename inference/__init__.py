"""From images to findings: pipelines, training, evaluation, phantom. Knows no network and no database."""
