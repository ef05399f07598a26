"""From files to vectors: discovery, DICOM, frames, preprocessing, encoders, the pipeline.

`guard` runs what touches untrusted bytes in worker processes; `dicom`, `frames` and `grey` are what
it runs, and never load torch.
"""
