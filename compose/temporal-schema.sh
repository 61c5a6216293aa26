#!/bin/sh
# Creates and updates Temporal's two databases. Each step does nothing when its work is done, so
# that it also runs before every start, and a newer image brings its newer schema along.
# The address, the user and the password come from SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD.
set -eu

manage() {
  temporal-sql-tool --plugin postgres12 --database "$1" create-database
  temporal-sql-tool --plugin postgres12 --database "$1" setup-schema --version 0.0
  temporal-sql-tool --plugin postgres12 --database "$1" update-schema \
    --schema-dir "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

manage temporal temporal
manage temporal_visibility visibility
