"""Benchmark of linkage: public data sets with a truth, through ordinary mappings and the ordinary night."""
