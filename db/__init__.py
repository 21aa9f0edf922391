"""SQL: the catalogue, stock and its ledger, orders. SQLite by default, PostgreSQL by DATABASE_URL."""
