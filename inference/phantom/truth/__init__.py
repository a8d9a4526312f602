"""The known truth of a phantom patient beside its images: LabelMe, COCO, DICOM SEG, DICOM SR and truth.json."""
