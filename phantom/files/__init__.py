"""A cohort on disk: DICOM files, labels and truth."""
