# Runs a worker, or any `exports` command: docker run IMAGE api
ARG PYTHON=python:3.13.15-slim-trixie

FROM ${PYTHON} AS build
COPY dev/uv-requirements.txt /build/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --requirement /build/uv-requirements.txt
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/app/.venv
WORKDIR /build
# The dependencies come first: this layer is rebuilt only if they change.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-default-groups --extra api --extra codec --extra messages --no-install-project
COPY README.md LICENSE worker.py ./
COPY exports/ exports/
COPY workflows/ workflows/
COPY activities/ activities/
RUN uv sync --locked --no-default-groups --extra api --extra codec --extra messages --no-editable

FROM ${PYTHON}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin exports
COPY --from=build /app/.venv /app/.venv
COPY exports.toml /app/exports.toml
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EXPORTS_REPORTS_FILE=/app/exports.toml
WORKDIR /app
# A number, because Kubernetes cannot tell from a name that a user is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
    CMD ["exports", "worker", "--check"]
ENTRYPOINT ["exports"]
CMD ["worker"]
