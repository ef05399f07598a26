"""Statistics on embeddings: arrays and frames in, results that can be printed out.

What estimators and tests are comes from scikit-survival, lifelines, statsmodels and scikit-learn;
the protocol round them (who counts, from when, against whom, with what uncertainty) is here.
Research use only.
"""
