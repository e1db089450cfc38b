"""Orders: what was ordered, received and billed side by side, and stock that moves as orders are paid."""

from crm_hygiene.cash.orders.inventory import inventory_movements
from crm_hygiene.cash.orders.order_checks import check_orders, order_blocks

__all__ = ["check_orders", "inventory_movements", "order_blocks"]
