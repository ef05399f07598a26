"""What can be asked of an angiogram, in words, and the reports that tell it."""
