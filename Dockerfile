# syntax=docker/dockerfile:1
# AngioAtlas as a service.  Research use only.
#
#   docker build --tag angioatlas .                          CPU
#   docker build --tag angioatlas:gpu --build-arg FLAVOUR=gpu .
#
# docs/operations.md says what to mount where.

ARG PYTHON=python:3.11-slim-bookworm

# --- Everything that is built, with what builds it

FROM ${PYTHON} AS build
# cpu or gpu: which FAISS, and whether PyTorch must be the build that brings CUDA.
ARG FLAVOUR=cpu
# Package index with PyTorch's CPU build (pytorch.org names it; or a mirror of yours), gigabytes
# smaller.  Without one it is the build of pip's own index, which runs on a CPU as well.
ARG TORCH_CPU_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/angioatlas
WORKDIR /src
COPY requirements.lock ./
# Apart from the source, so that a change of ours does not fetch it again.
RUN case "${FLAVOUR}" in \
      cpu) if [ -n "${TORCH_CPU_INDEX}" ]; then export PIP_INDEX_URL="${TORCH_CPU_INDEX}"; fi ;; \
      gpu) ;; \
      *) echo "FLAVOUR is cpu or gpu, not ${FLAVOUR}" >&2; exit 1 ;; \
    esac \
    && /opt/angioatlas/bin/pip install --constraint requirements.lock torch==2.13.0
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY core core
COPY store store
COPY embedder embedder
COPY index index
COPY analytics analytics
COPY phantom phantom
COPY angioatlas angioatlas
COPY api api
COPY dashboard dashboard
RUN /opt/angioatlas/bin/pip install --constraint requirements.lock ".[${FLAVOUR},movies]" \
    && /opt/angioatlas/bin/pip check \
    && /opt/angioatlas/bin/python -m compileall -q /opt/angioatlas

# --- What runs: no compiler, no source tree, no package manager's cache

FROM ${PYTHON} AS serve
LABEL org.opencontainers.image.title="AngioAtlas" \
      org.opencontainers.image.description="Similar cases in coronary angiography. Research use only." \
      org.opencontainers.image.licenses="GPL-3.0-or-later"
# A number that belongs to nobody on the host; mounted folders must be its own.
RUN groupadd --gid 10001 atlas \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin atlas \
    && install --directory --owner=10001 --group=10001 --mode=0700 /store /state /keys
COPY --from=build /opt/angioatlas /opt/angioatlas
ENV PATH=/opt/angioatlas/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/state \
    ANGIOATLAS_STORE=/store \
    ANGIOATLAS_STATE_DIR=/state \
    ANGIOATLAS_IDENTITY_KEY=/keys/identity.key
USER 10001:10001
WORKDIR /state
VOLUME ["/store", "/state", "/keys"]
EXPOSE 8000 8501
# Uvicorn ends cleanly at SIGTERM, and starts and reaps its own processes: no init is needed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["angioatlas"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
