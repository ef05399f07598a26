"""How well `phantom-mini` finds things in phantoms it has never seen, beside a naive baseline.

python -m benchmarks.phantom_retrieval --work FOLDER
"""
