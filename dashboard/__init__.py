"""The cohort explorer: pages over the Atlas, in Streamlit.  `angioatlas dashboard` runs them.

A page asks the Atlas and shows what it says: no file here computes a statistic.  Research use only.
"""
