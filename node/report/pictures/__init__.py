"""What is drawn: a slice with its boxes, a summary of the case. Pictures of Pillow; no DICOM object is made here."""
