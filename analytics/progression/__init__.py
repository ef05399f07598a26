"""Serial exams: how much changed, beyond what exams of unchanged arteries differ by."""
