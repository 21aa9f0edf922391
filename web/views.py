"""From what the shop knows to what goes over the wire.

Carts and orders, which are asked for all the time, are plain documents; what is in them stands in web.schemas, and
every test that asks for one holds it against that. The rest are the models of web.schemas themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from db.models import OrderEventRow, OrderItemRow, OrderRow, PaymentRow, ProductRow
from db.orders import Shipment
from db.products import Group
from shop.cart import Cart, CartLine, price_moves, unsellable
from shop.catalogue import Product, stock_status
from shop.checkout import Checkout
from shop.money import exponent, format_amount
from shop.orders import OPEN
from shop.pricing import Quote, explain, percent, price, shipping_of
from shop.rules import Destination, Rules, ShippingMethod
from shop.shipping import methods_for
from web import schemas as out

Document = dict[str, Any]


class Money:
    """Writes amounts in the shop's currency; a failed order of unknown currency still has two digits."""

    def __init__(self, digits: int) -> None:
        self._digits = digits

    def __call__(self, minor: int) -> str:
        return format_amount(minor, self._digits)


# ---------------------------------------------------------------- catalogue


def product_entry(row: ProductRow, groups: Mapping[str, Group], rules: Rules) -> out.ProductEntry:
    money = Money(rules.digits)
    group = groups.get(row.group_id or "")
    return out.ProductEntry(
        id=row.id,
        sku=row.sku,
        name=row.name,
        description=row.description,
        price=money(row.price_minor),
        currency=rules.currency,
        category_id=row.category_id,
        image_url=row.image_url,
        stock_status=stock_status(row.stock_quantity, row.low_stock_threshold),  # type: ignore[arg-type]
        stock_quantity=row.stock_quantity,
        available=row.stock_quantity > 0,
        options=row.options,
        group=out.GroupOut(
            id=row.group_id or "",
            variants=group.variants,
            min_price=money(group.min_price_minor),
            max_price=money(group.max_price_minor),
            available=group.units > 0,
        )
        if group
        else None,
        created_at=out.instant(row.created_at),
    )


def product_out(row: ProductRow, siblings: Sequence[ProductRow], rules: Rules) -> out.ProductOut:
    money = Money(rules.digits)
    return out.ProductOut(
        id=row.id,
        sku=row.sku,
        name=row.name,
        description=row.description,
        description_html=row.description_html,
        price=money(row.price_minor),
        currency=rules.currency,
        category_id=row.category_id,
        image_url=row.image_url,
        images=row.images,
        specifications=row.specifications,
        stock_status=stock_status(row.stock_quantity, row.low_stock_threshold),  # type: ignore[arg-type]
        stock_quantity=row.stock_quantity,
        available=row.stock_quantity > 0,
        max_quantity=min(row.stock_quantity, rules.cart.max_quantity),
        weight_grams=row.weight_grams,
        tax_class=row.tax_class,
        options=row.options,
        group_id=row.group_id,
        variants=[
            out.VariantOut(
                id=sibling.id,
                sku=sibling.sku,
                name=sibling.name,
                price=money(sibling.price_minor),
                available=sibling.stock_quantity > 0,
                stock_status=stock_status(sibling.stock_quantity, sibling.low_stock_threshold),  # type: ignore[arg-type]
                options=sibling.options,
                image_url=sibling.image_url,
            )
            for sibling in siblings
        ],
        created_at=out.instant(row.created_at),
        updated_at=out.instant(row.updated_at),
    )


def facets_out(found: Mapping[str, Any], rules: Rules) -> out.FacetsOut:
    money = Money(rules.digits)
    return out.FacetsOut(
        category=[out.CategoryFacet(**entry) for entry in found["category"]] if "category" in found else None,
        price=[
            out.PriceFacet(
                min_price=money(entry["min"]),
                below=None if entry["below"] is None else money(entry["below"]),
                count=entry["count"],
            )
            for entry in found["price"]
        ]
        if "price" in found
        else None,
        availability=out.AvailabilityFacet(**found["availability"]) if "availability" in found else None,
        exact=found["exact"],
    )


# ---------------------------------------------------------------- cart


def cart_out(cart: Cart, products: Mapping[str, Product], rules: Rules) -> Document:
    """The whole cart: lines at live prices, totals for the shop's home, and all a shopper should know."""
    money = Money(rules.digits)
    sellable = [(products[i.product_id], i.quantity) for i in cart.lines if _sold(products.get(i.product_id))]
    home = rules.tax.home
    quote = price(sellable, cheapest(sellable, home, rules), home, rules) if sellable else None
    taxes = {line.product_id: line.tax_minor for line in quote.lines} if quote else {}
    return {
        "id": cart.id,
        "version": cart.version,
        "items": [_cart_item(i, products.get(i.product_id), taxes.get(i.product_id, 0), rules) for i in cart.lines],
        "item_count": len(cart.lines),
        "total_quantity": sum(line.quantity for line in cart.lines),
        "currency": rules.currency,
        "prices_include_tax": rules.tax.prices_include_tax,
        "subtotal": money(quote.subtotal_minor if quote else 0),
        "tax_amount": money(quote.tax_minor if quote else 0),
        "shipping_amount": money(quote.shipping_minor if quote else 0),
        "total_amount": money(quote.total_minor if quote else 0),
        "estimated": True,
        "warnings": warnings(cart, products, rules),
        "expires_at": None if cart.expires_at is None else out.instant(cart.expires_at),
    }


def _sold(product: Product | None) -> bool:
    return product is not None and product.is_active


def _cart_item(line: CartLine, product: Product | None, tax_minor: int, rules: Rules) -> Document:
    money = Money(rules.digits)
    stock = product.stock_quantity if product and product.is_active else 0
    sold = product is not None and product.is_active
    return {
        "item_id": line.product_id,
        "product_id": line.product_id,
        "sku": product.sku if product else None,
        "name": product.name if product else line.product_id,
        "image_url": product.image_url if product else None,
        "options": dict(product.options) if product else {},
        "quantity": line.quantity,
        "max_quantity": min(stock, rules.cart.max_quantity),
        "unit_price": money(product.price_minor) if product and sold else None,
        "price_when_added": money(line.price_when_added_minor),
        "subtotal": money(product.price_minor * line.quantity if product and sold else 0),
        "tax_amount": money(tax_minor),
        "available": stock >= line.quantity,
        "available_quantity": stock,
        "added_at": out.instant(line.added_at),
    }


def warnings(cart: Cart, products: Mapping[str, Product], rules: Rules) -> list[Document]:
    money = Money(rules.digits)
    found = [
        {
            "code": fault.code,
            "message": fault.message,
            "pointer": fault.pointer or "",
            "product_id": fault.product_id or "",
            "requested": fault.requested,
            "available": fault.available,
            "was": None,
            "now": None,
        }
        for fault in unsellable(cart.lines, products, rules.cart.max_quantity)
    ]
    for move in price_moves(cart.lines, products):
        was, now = money(move.was_minor), money(move.now_minor)
        message = f"The price is {now} now; it was {was} when you added it."
        found.append(
            {
                "code": "price_changed",
                "message": message,
                "pointer": move.pointer,
                "product_id": move.product_id,
                "requested": None,
                "available": None,
                "was": was,
                "now": now,
            }
        )
    return found


def cheapest(items: Sequence[tuple[Product, int]], destination: Destination, rules: Rules) -> ShippingMethod:
    """The cheapest delivery to a destination, for an estimate; any method if only pick-up serves it."""
    methods = methods_for(rules, destination) or rules.shipping.methods
    delivered = [method for method in methods if not method.pickup] or methods
    if len(delivered) == 1:
        return delivered[0]
    return min(delivered, key=lambda method: shipping_of(items, method).total_minor)


# ---------------------------------------------------------------- quotes


def tax_lines(quote: Quote, money: Money) -> list[Document]:
    return [
        {
            "name": line.name,
            "rate_percent": percent(line.rate_ppm),
            "base_amount": money(line.base_minor),
            "tax_amount": money(line.tax_minor),
        }
        for line in quote.tax_lines
    ]


def quote_out(
    quote: Quote,
    options: Sequence[tuple[ShippingMethod, Quote]],
    cart: Cart,
    products: Mapping[str, Product],
    rules: Rules,
) -> Document:
    money = Money(rules.digits)
    cost = quote.shipping
    return {
        "currency": quote.currency,
        "prices_include_tax": quote.prices_include_tax,
        "lines": [
            {
                "product_id": line.product_id,
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": money(line.unit_price_minor),
                "subtotal": money(line.subtotal_minor),
                "tax_name": line.tax_name,
                "tax_rate_percent": percent(line.tax_rate_ppm),
                "tax_amount": money(line.tax_minor),
            }
            for line in quote.lines
        ],
        "subtotal": money(quote.subtotal_minor),
        "shipping_amount": money(quote.shipping_minor),
        "tax_amount": money(quote.tax_minor),
        "total_amount": money(quote.total_minor),
        "tax_lines": tax_lines(quote, money),
        "shipping": {
            "method": cost.method_id,
            "name": cost.name,
            "base": money(cost.base_minor),
            "by_weight": money(cost.weight_minor),
            "by_item": money(cost.items_minor),
            "free": money(cost.free_minor),
            "total": money(cost.total_minor),
        },
        "shipping_options": [
            {
                "method": method.id,
                "name": method.name,
                "amount": money(option.shipping_minor),
                "total_amount": money(option.total_minor),
                "days": method.days,
                "pickup": method.pickup,
                "selected": method.id == cost.method_id,
            }
            for method, option in options
        ],
        "payment_methods": [
            {
                "method": method.id,
                "name": method.name,
                "description": method.description,
                "provider": method.provider,
            }
            for method in rules.payment.methods
        ],
        "warnings": warnings(cart, products, rules),
        "explanation": [
            {"what": step.what, "formula": step.formula, "exact": step.exact, "amount": money(step.amount_minor)}
            for step in explain(quote, rules.digits)
        ],
        "cart_version": cart.version,
    }


# ---------------------------------------------------------------- orders


def _links(order_id: str) -> Document:
    return {"self": f"/api/orders/{order_id}"}


def order_out(
    row: OrderRow,
    items: Sequence[OrderItemRow],
    shipments: Sequence[Shipment],
    payments: Sequence[PaymentRow],
    events: Sequence[OrderEventRow],
) -> Document:
    """An order from its rows, for the shopper; `events` without what is not for them."""
    return {
        **order_facts(row, items, shipments, payments),
        "timeline": [event_out(event) for event in events],
        "links": _links(row.id),
    }


def order_facts(
    row: OrderRow, items: Sequence[OrderItemRow], shipments: Sequence[Shipment], payments: Sequence[PaymentRow]
) -> Document:
    """The members of an order that do not depend on who reads it, in its own currency."""
    money = Money(exponent(row.currency))
    return {
        "id": row.id,
        "number": row.number,
        "status": row.status,
        "terminal": row.status not in OPEN,
        "payment_status": row.payment_status,
        "fulfillment_status": row.fulfillment_status,
        "email": row.email,
        "currency": row.currency,
        "items": [_order_item(item, money) for item in items],
        "subtotal": money(row.subtotal_minor),
        "shipping_amount": money(row.shipping_minor),
        "tax_amount": money(row.tax_minor),
        "total_amount": money(row.total_minor),
        "prices_include_tax": row.quote["prices_include_tax"],
        "tax_lines": [
            {
                "name": line["name"],
                "rate_percent": percent(line["rate_ppm"]),
                "base_amount": money(line["base_minor"]),
                "tax_amount": money(line["tax_minor"]),
            }
            for line in row.quote["tax_lines"]
        ],
        "shipping_info": _address(row.shipping_address),
        "billing_info": _address(row.billing_address),
        "shipping_method": row.shipping_method,
        "payment_method": row.payment_method,
        "payment": payment_out(row, payments, money),
        "failure": out.FailureOut(**row.failure).model_dump() if row.failure else None,
        "shipments": [_shipment_out(shipment, items) for shipment in shipments],
        "created_at": out.instant(row.created_at),
        "accepted_at": out.instant(row.accepted_at),
        "settled_at": None if row.settled_at is None else out.instant(row.settled_at),
        "updated_at": out.instant(row.updated_at),
    }


_NO_ADDRESS: Final[Document] = dict.fromkeys(out.AddressOut.model_fields)


def _address(stored: Document | None) -> Document | None:
    """A stored address with the members that were left out then, or that there were not yet."""
    return _NO_ADDRESS | stored if stored else None


def payment_out(row: OrderRow, payments: Sequence[PaymentRow], money: Money) -> Document:
    """What the shopper can do about the payment, and what was given back."""
    first = next((payment for payment in payments if payment.kind == "authorize"), None)
    action = None
    if row.status == "requires_action" and first and first.action_url and first.action_until:
        action = {"url": first.action_url, "until": out.instant(first.action_until)}
    refunds = [payment for payment in payments if payment.kind == "refund"]
    return {
        "action": action,
        "refunded_amount": money(sum(refund.amount_minor for refund in refunds if refund.status == "succeeded")),
        "refunds": [
            {
                "amount": money(refund.amount_minor),
                "status": _REFUND_STATUS.get(refund.status, "pending"),
                "created_at": out.instant(refund.created_at),
            }
            for refund in refunds
        ],
    }


_REFUND_STATUS = {"succeeded": "succeeded", "refused": "refused", "dropped": "refused", "stuck": "unknown"}
"""How an operation that is done is called; any other is pending."""


def _order_item(item: OrderItemRow, money: Money) -> Document:
    return {
        "position": item.position,
        "product_id": item.product_id,
        "sku": item.sku,
        "name": item.name,
        "quantity": item.quantity,
        "shipped_quantity": item.shipped_quantity,
        "price_at_time": money(item.price_at_time_minor),
        "tax_amount": money(item.tax_minor),
        "subtotal": money(item.subtotal_minor),
    }


def _shipment_out(shipment: Shipment, items: Sequence[OrderItemRow]) -> Document:
    row, lines = shipment.row, {item.position: item for item in items}
    return {
        "number": row.number,
        "carrier": row.carrier,
        "tracking_number": row.tracking_number,
        "tracking_url": row.tracking_url,
        "shipped_at": out.instant(row.shipped_at),
        "delivered_at": None if row.delivered_at is None else out.instant(row.delivered_at),
        "items": [
            {
                "position": part.position,
                "product_id": lines[part.position].product_id,
                "sku": lines[part.position].sku,
                "name": lines[part.position].name,
                "quantity": part.quantity,
            }
            for part in shipment.parts
        ],
    }


def event_out(event: OrderEventRow) -> Document:
    return {
        "stage": event.stage,
        "at": out.instant(event.at),
        "attempt": event.attempt,
        "outcome": event.outcome,
        "detail": event.detail,
    }


def pending_order(checkout: Checkout, digits: int, status: str = "pending") -> Document:
    """An accepted checkout as the order it is going to be, from its snapshot.

    `status` is what the store last said of it, for a moment in which SQL is away.
    """
    money, quote, at = Money(digits), checkout.quote, out.instant(checkout.accepted_at)
    shipping, billing = checkout.shipping_info, checkout.billing_info
    return {
        "id": checkout.order_id,
        "number": None,
        "status": status,
        "terminal": status not in OPEN,
        "payment_status": "none",
        "fulfillment_status": "unfulfilled",
        "email": checkout.email,
        "currency": quote.currency,
        "items": [
            {
                "position": position,
                "product_id": line.product_id,
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "shipped_quantity": 0,
                "price_at_time": money(line.unit_price_minor),
                "tax_amount": money(line.tax_minor),
                "subtotal": money(line.subtotal_minor),
            }
            for position, line in enumerate(quote.lines, 1)
        ],
        "subtotal": money(quote.subtotal_minor),
        "shipping_amount": money(quote.shipping_minor),
        "tax_amount": money(quote.tax_minor),
        "total_amount": money(quote.total_minor),
        "prices_include_tax": quote.prices_include_tax,
        "tax_lines": tax_lines(quote, money),
        "shipping_info": None if shipping is None else _members(shipping),
        "billing_info": _members(billing),
        "shipping_method": checkout.shipping_method,
        "payment_method": checkout.payment_method,
        "payment": {"action": None, "refunded_amount": money(0), "refunds": []},
        "failure": None,
        "shipments": [],
        "timeline": [{"stage": "accepted", "at": at, "attempt": 1, "outcome": "ok", "detail": None}],
        "created_at": at,
        "accepted_at": at,
        "settled_at": None,
        "updated_at": at,
        "links": _links(checkout.order_id),
    }


def _members(value: Any) -> Document:
    return {name: getattr(value, name) for name in type(value).__slots__}


def order_summary(row: OrderRow, item_count: int, digits: int) -> out.OrderSummary:
    return out.OrderSummary(
        id=row.id,
        number=row.number,
        status=row.status,  # type: ignore[arg-type]
        terminal=row.status not in OPEN,
        payment_status=row.payment_status,  # type: ignore[arg-type]
        fulfillment_status=row.fulfillment_status,  # type: ignore[arg-type]
        currency=row.currency,
        total_amount=format_amount(row.total_minor, digits),
        item_count=item_count,
        created_at=out.instant(row.created_at),
        updated_at=out.instant(row.updated_at),
        failure_code=row.failure["code"] if row.failure else None,
        links=out.LinksOut(**_links(row.id)),
    )


def pending_summary(checkout: Checkout, digits: int, status: str = "pending") -> out.OrderSummary:
    order = pending_order(checkout, digits, status)
    return out.OrderSummary(
        id=order["id"],
        number=None,
        status=order["status"],
        terminal=order["terminal"],
        payment_status=order["payment_status"],
        fulfillment_status=order["fulfillment_status"],
        currency=order["currency"],
        total_amount=order["total_amount"],
        item_count=len(order["items"]),
        created_at=order["created_at"],
        updated_at=order["updated_at"],
        failure_code=None,
        links=out.LinksOut(**order["links"]),
    )
