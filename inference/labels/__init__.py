"""From a folder of DICOM, annotations and pathology to a data set. Knows no network and no torch."""
