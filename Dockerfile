# Atelier as an image. VARIANT=gpu has PyTorch with CUDA and needs NVIDIA's container toolkit,
# VARIANT=cpu has PyTorch without it, and OpenVINO. docs/deploy.md says how it is used.
ARG VARIANT=gpu
# Pin the base with --build-arg BASE=python:3.11-slim-bookworm@sha256:DIGEST; `docker buildx
# imagetools inspect python:3.11-slim-bookworm` shows the digest of today.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS install
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
WORKDIR /build
RUN python -m venv /opt/venv
COPY deploy/constraints.txt ./

FROM install AS torch-gpu
ENV EXTRAS="fleet"
RUN pip install --no-cache-dir --constraint constraints.txt torch torchvision

FROM install AS torch-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV EXTRAS="cpu,fleet"
RUN pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" \
        --constraint constraints.txt torch torchvision

# One of the two stages above.
# hadolint ignore=DL3006
FROM torch-${VARIANT} AS packages
WORKDIR /build
COPY deploy/requirements.py pyproject.toml ./
RUN python requirements.py "${EXTRAS}" > requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt \
    && pip check

FROM ${BASE} AS atelier
RUN groupadd --gid 10001 atelier \
    && useradd --uid 10001 --gid atelier --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin atelier \
    && install --directory --owner atelier --group atelier --mode 750 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/atelier
COPY LICENSE NOTICE ./
COPY models models
COPY app app
RUN python -m compileall -q --invalidation-mode unchecked-hash app

ENV PATH=/opt/venv/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ATELIER_HOST=0.0.0.0 \
    ATELIER_PORT=8000 \
    ATELIER_DATA_DIR=/data \
    ATELIER_DATASETS=/datasets
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=900s --retries=3 \
    CMD ["python", "-c", "import os, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ['ATELIER_PORT']), timeout=4); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]

ARG VARIANT
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Atelier" \
      org.opencontainers.image.description="Self-hosted image classification and neural style transfer (${VARIANT})" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
