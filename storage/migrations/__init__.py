"""The steps from one schema of the database to the next (Alembic). `storage.database.upgrade` runs them."""
