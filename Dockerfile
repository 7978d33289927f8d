# Two images, each for a user without rights:
#   kafinea, the last one: the tap, the target, the loaders and the command `kafinea`. It gets the
#     wheels in dist/, so run `make build` first.
#   airflow, for compose.yaml: Airflow and Meltano, with the DAGs and plugins of this project.
# Pin the base in production: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS project
# Any version of make will do.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/singer-kafinea
COPY . .
RUN make .meltano/stamp .venv-airflow/stamp && mkdir output

FROM ${PYTHON_IMAGE} AS airflow
RUN useradd --uid 10001 --create-home --home-dir /srv/airflow kafinea
# Meltano writes below the project.
COPY --from=project --chown=kafinea /srv/singer-kafinea /srv/singer-kafinea
ENV PATH=/srv/singer-kafinea/.venv-airflow/bin:$PATH \
    AIRFLOW_HOME=/srv/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/srv/singer-kafinea/orchestrate/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=false
USER 10001
WORKDIR /srv/singer-kafinea
CMD ["airflow", "standalone"]

FROM ${PYTHON_IMAGE} AS wheels
WORKDIR /packages
COPY constraints/dev.txt constraints.txt
COPY dist/*.whl ./
RUN python -m venv /opt/kafinea \
    && kafinea="$(echo singer_kafinea-*.whl)" loaders="$(echo singer_exact_loaders-*.whl)" \
    && /opt/kafinea/bin/pip install --no-cache-dir --constraint constraints.txt \
        "./${kafinea}[cli,sandbox,export,verify]" "./${loaders}[duckdb,postgres]"

FROM ${PYTHON_IMAGE} AS kafinea
RUN useradd --uid 10001 --create-home --home-dir /data kafinea
COPY --from=wheels /opt/kafinea /opt/kafinea
ENV PATH=/opt/kafinea/bin:$PATH
USER 10001
WORKDIR /data
CMD ["kafinea", "--help"]
