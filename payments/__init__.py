"""The payment providers behind the port `shop.payments`."""
