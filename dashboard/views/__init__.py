"""The pages, one a file; Streamlit runs each by its path."""
