"""From files to vectors: discovery, DICOM, frames, preprocessing, encoders, the pipeline."""
