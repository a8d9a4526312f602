"""Secondary Captures: the pictures as DICOM objects, one each or as frames of one."""
