# The hub as an image: `docker build .`. One image serves, works and migrates; the command says which.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY deploy/requirements/ deploy/requirements/
# parts of requirements.lock, which deploy/lock.py derives: no tools of development, every file checked by its hash
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --only-binary :all: --require-hashes -r deploy/requirements/build.lock
RUN python -m venv /opt/hub \
    && /opt/hub/bin/pip install --only-binary :all: --require-hashes -r deploy/requirements/runtime.lock
COPY pyproject.toml README.md ./
COPY app/ app/
COPY db/ db/
COPY graphql_schema/ graphql_schema/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
    && /opt/hub/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/hub/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
# a number, so that an orchestrator can tell that it is not root
RUN groupadd --gid 10001 hub \
    && useradd --uid 10001 --gid hub --no-create-home --home-dir /var/lib/orchestration-hub hub \
    && install --directory --owner=hub --group=hub --mode=0700 /var/lib/orchestration-hub
COPY --from=build /opt/hub /opt/hub
COPY deploy/healthcheck.py /opt/healthcheck.py
ENV PATH=/opt/hub/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HUB_HOST=0.0.0.0 \
    HUB_PORT=8000 \
    HUB_DATA_DIR=/var/lib/orchestration-hub
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-I", "/opt/healthcheck.py"]
ENTRYPOINT ["hub"]
CMD ["serve"]
