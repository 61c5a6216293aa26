#!/bin/sh
# Creates the namespace and the search attributes of exports, if they do not exist yet. The address
# and the namespace are in TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

# The frontend is up before the services behind it, and a new namespace takes some seconds to reach
# their caches. So each step is retried for a minute.
with_retries() {
  tries=30
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 2
  done
}

make_namespace() {
  temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 168h
}

with_retries temporal operator cluster health
with_retries make_namespace
with_retries temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
  --name ExportType --type Keyword \
  --name ExportStatus --type Keyword \
  --name ExportFormat --type Keyword \
  --name ExportCreatedBy --type Keyword
