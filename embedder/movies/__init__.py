"""AVI and MP4: described by a table, decoded by FFmpeg."""
