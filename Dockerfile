# Two stages: the first installs the locked packages, the second holds only what runs. torch's wheels carry their own
# CUDA libraries, so a plain Python base with the NVIDIA container toolkit on the host is enough for the GPU.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/spinenode
WORKDIR /src
COPY requirements.lock ./
RUN /opt/spinenode/bin/pip install --require-hashes -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY config ./config
COPY storage ./storage
COPY inference ./inference
COPY node ./node
RUN /opt/spinenode/bin/pip install "setuptools>=77" \
 && /opt/spinenode/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/spinenode /opt/spinenode
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin spinenode \
 && install -d -o 10001 -g 10001 /var/lib/spinenode /etc/spinenode
ENV PATH=/opt/spinenode/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SPINENODE_CONFIG=/etc/spinenode/spinenode.toml \
    SPINENODE_STORAGE__DATA_DIR=/var/lib/spinenode
USER 10001:10001
WORKDIR /var/lib/spinenode
VOLUME /var/lib/spinenode
EXPOSE 11112
# Ready means: the settings can be read and the database answers.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["spinenode", "status", "--json"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["spinenode"]
CMD ["serve"]
