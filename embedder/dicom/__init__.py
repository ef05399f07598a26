"""What is in a DICOM file: header, claims, where the frames are, and how one is decoded."""
