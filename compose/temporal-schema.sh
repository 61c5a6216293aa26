#!/bin/sh
# Creates and updates the two databases of Temporal. It runs before every start: steps that are done
# already do nothing, and a newer image updates the schema. The address, the user and the password
# are in SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD.
set -eu

manage() {
  temporal-sql-tool --plugin postgres12 --database "$1" create-database
  temporal-sql-tool --plugin postgres12 --database "$1" setup-schema --version 0.0
  temporal-sql-tool --plugin postgres12 --database "$1" update-schema \
    --schema-dir "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

manage temporal temporal
manage temporal_visibility visibility
