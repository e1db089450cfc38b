"""crm-hygiene: golden customers, reconciled invoices and reviewed write-back on an open lakehouse.

This package is the domain: it knows neither the orchestrator nor the gate engine.
"""

__version__ = "0.1.0"
