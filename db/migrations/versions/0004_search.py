# ruff: noqa: S608  The parts of these statements are our own.
"""The shopper's list and search: a table of what a list looks at, kept by triggers, and an index of words."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SHELF = "CASE WHEN NOT {0}.is_active THEN -1 WHEN {0}.stock_quantity > 0 THEN 1 ELSE 0 END"
COLUMNS = "product_id, category_id, price_minor, name, created_at, group_id, shelf"
VALUES = "{0}.id, {0}.category_id, {0}.price_minor, {0}.name, {0}.created_at, {0}.group_id, " + SHELF
INDEXES = {
    "ix_listed_products_price": ["shelf", "price_minor", "product_id", "group_id"],
    "ix_listed_products_name": ["shelf", "name", "product_id", "price_minor", "group_id"],
    "ix_listed_products_created": ["shelf", "created_at", "product_id", "price_minor", "group_id"],
    "ix_listed_products_category_price": ["category_id", "shelf", "price_minor", "product_id", "group_id"],
    "ix_listed_products_category_name": ["category_id", "shelf", "name", "product_id", "price_minor", "group_id"],
    "ix_listed_products_category_created": [
        *("category_id", "shelf", "created_at", "product_id", "price_minor", "group_id")
    ],
}
BIT = "(old.category_id, old.price_minor, old.name, old.created_at, old.group_id, old.is_active)"
WORDY = "(old.sku, old.name, old.description)"

# As shop.search says. Not by a dictionary of PostgreSQL's: none of them agrees with SQLite.
POSTGRESQL_WORDS = r"""
CREATE FUNCTION product_words(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_to_tsvector(array_agg(DISTINCT left(word, 64))), ''::tsvector)
  FROM unnest(string_to_array(
    regexp_replace(
      replace(replace(replace(replace(translate(
        lower(regexp_replace(
          normalize($1, NFKD), '[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]', '', 'g')),
        U&'\00f8\0111\00f0\0142\0131\03c2', U&'oddli\03c3'),
        U&'\00df', 'ss'), U&'\00e6', 'ae'), U&'\0153', 'oe'), U&'\00fe', 'th'),
      '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u2bff\u2e00-\u2e7f\u3000-\u303f'
      '\ufe00-\ufe6f\ufeff\uff00-\uffff\U0001f000-\U0001ffff]+', ' ', 'g'),
    ' ')) AS word
  WHERE word <> ''
$$
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "listed_products",
        sa.Column("number", Whole, nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=False),
        sa.Column("price_minor", Whole, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("shelf", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_listed_products"),
        sa.UniqueConstraint("product_id", name="uq_listed_products_product_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "product_words",
        sa.Column("number", Whole, nullable=False, autoincrement=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_product_words"),
        sqlite_strict=True,
    )
    if sqlite:
        _write("search_words(p.sku, p.name, p.description)")
        _sqlite_search()
        _sqlite_triggers()
    else:
        op.get_bind().exec_driver_sql(POSTGRESQL_WORDS)
        _write("product_words(concat_ws(' ', p.sku, p.name, p.description))")
        op.create_index("ix_product_words_words", "product_words", ["words"], postgresql_using="gin")
        _postgresql_triggers()
    for name, columns in INDEXES.items():
        op.create_index(name, "listed_products", columns)
    group = sa.text("group_id IS NOT NULL")
    op.create_index(
        "ix_listed_products_group",
        "listed_products",
        ["group_id", "product_id"],
        sqlite_where=group,
        postgresql_where=group,
    )

    # Of the shopper's list as it was; nobody else sorts products by their price.
    for name in ("ix_products_active_price", "ix_products_category_price"):
        op.drop_index(name, "products")


def _do(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement)


def _write(words: str) -> None:
    """What the shop has already."""
    _do(f"INSERT INTO listed_products ({COLUMNS}) SELECT {VALUES.format('p')} FROM products AS p ORDER BY p.id")
    _do(
        f"INSERT INTO product_words (number, words) SELECT l.number, {words} "
        "FROM listed_products AS l JOIN products AS p ON p.id = l.product_id ORDER BY l.number"
    )


# ---------------------------------------------------------------- SQLite


def _sqlite_search() -> None:
    # The words are folded already: whatever is no ASCII is a letter to this tokenizer.
    _do(
        "CREATE VIRTUAL TABLE product_search USING fts5("
        "words, content='product_words', content_rowid='number', "
        "tokenize='ascii', detail=none, columnsize=0, prefix='1 2 3 4 5')"
    )
    _do("INSERT INTO product_search (product_search) VALUES ('rebuild')")
    add = "INSERT INTO product_search (rowid, words) VALUES (new.number, new.words);"
    drop = "INSERT INTO product_search (product_search, rowid, words) VALUES ('delete', old.number, old.words);"
    _do(f"CREATE TRIGGER product_words_insert AFTER INSERT ON product_words BEGIN {add} END")
    _do(f"CREATE TRIGGER product_words_update AFTER UPDATE OF words ON product_words BEGIN {drop} {add} END")
    _do(f"CREATE TRIGGER product_words_delete AFTER DELETE ON product_words BEGIN {drop} END")


def _sqlite_triggers() -> None:
    """A sale changes no more than the stock: nothing is written unless it is the last unit or the first."""
    words = "search_words(new.sku, new.name, new.description)"
    listed = "(SELECT number FROM listed_products WHERE product_id = {0}.id)"
    changed = "category_id, price_minor, name, created_at, group_id, is_active"
    _do(
        "CREATE TRIGGER products_listed_insert AFTER INSERT ON products BEGIN "
        f"INSERT INTO listed_products ({COLUMNS}) VALUES ({VALUES.format('new')}); "
        f"INSERT INTO product_words (number, words) VALUES ({listed.format('new')}, {words}); END"
    )
    _do(
        "CREATE TRIGGER products_listed_stock AFTER UPDATE OF stock_quantity ON products "
        "WHEN (old.stock_quantity > 0) <> (new.stock_quantity > 0) BEGIN "
        f"UPDATE listed_products SET shelf = {SHELF.format('new')} WHERE product_id = new.id; END"
    )
    _do(
        f"CREATE TRIGGER products_listed_update AFTER UPDATE OF {changed} ON products "
        f"WHEN {BIT} IS NOT {BIT.replace('old.', 'new.')} BEGIN "
        f"UPDATE listed_products SET ({COLUMNS}) = ({VALUES.format('new')}) WHERE product_id = new.id; END"
    )
    _do(
        "CREATE TRIGGER products_listed_words AFTER UPDATE OF sku, name, description ON products "
        f"WHEN {WORDY} IS NOT {WORDY.replace('old.', 'new.')} BEGIN "
        f"UPDATE product_words SET words = {words} WHERE number = {listed.format('new')}; END"
    )
    _do(
        "CREATE TRIGGER products_listed_delete AFTER DELETE ON products BEGIN "
        f"DELETE FROM product_words WHERE number = {listed.format('old')}; "
        "DELETE FROM listed_products WHERE product_id = old.id; END"
    )


# ---------------------------------------------------------------- PostgreSQL


def _postgresql_triggers() -> None:
    new_words = "product_words(concat_ws(' ', new.sku, new.name, new.description))"
    bodies = {
        "insert": (
            f"WITH listed AS (INSERT INTO listed_products ({COLUMNS}) VALUES ({VALUES.format('new')}) RETURNING number) "
            f"INSERT INTO product_words (number, words) SELECT number, {new_words} FROM listed;"
        ),
        "update": f"UPDATE listed_products SET ({COLUMNS}) = ({VALUES.format('new')}) WHERE product_id = new.id;",
        "words": (
            f"UPDATE product_words SET words = {new_words} FROM listed_products "
            "WHERE listed_products.product_id = new.id AND product_words.number = listed_products.number;"
        ),
        "delete": (
            "WITH listed AS (DELETE FROM listed_products WHERE product_id = old.id RETURNING number) "
            "DELETE FROM product_words USING listed WHERE product_words.number = listed.number;"
        ),
    }
    is_other = "({0}, old.stock_quantity > 0) IS DISTINCT FROM ({1}, new.stock_quantity > 0)"
    bit = BIT.strip("()")
    events = {
        "insert": "INSERT ON products FOR EACH ROW",
        "update": f"UPDATE ON products FOR EACH ROW WHEN ({is_other.format(bit, bit.replace('old.', 'new.'))})",
        "words": f"UPDATE ON products FOR EACH ROW WHEN ({WORDY} IS DISTINCT FROM {WORDY.replace('old.', 'new.')})",
        "delete": "DELETE ON products FOR EACH ROW",
    }
    for name, body in bodies.items():
        function = f"products_listed_{name}"
        _do(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$")
        _do(f"CREATE TRIGGER {function} AFTER {events[name]} EXECUTE FUNCTION {function}()")
