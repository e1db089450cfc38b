"""Benchmarks: whole nights on sample exports of growing size, measured from outside the process."""
