# The tap, the target, the loaders and the command `kafinea`, for a user without rights.
# Run `make build` first: the image gets the wheels in dist/.
# Pin the base in production: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /packages
COPY constraints/dev.txt constraints.txt
COPY dist/*.whl ./
RUN python -m venv /opt/kafinea \
    && kafinea="$(echo singer_kafinea-*.whl)" loaders="$(echo singer_exact_loaders-*.whl)" \
    && /opt/kafinea/bin/pip install --no-cache-dir --constraint constraints.txt \
        "./${kafinea}[cli,sandbox,export,verify]" "./${loaders}[duckdb,postgres]"

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --create-home --home-dir /data kafinea
COPY --from=build /opt/kafinea /opt/kafinea
ENV PATH=/opt/kafinea/bin:$PATH
USER 10001
WORKDIR /data
CMD ["kafinea", "--help"]
