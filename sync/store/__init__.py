"""The database: schema, migrations, queries, and the Parquet snapshot that scoring reads."""
