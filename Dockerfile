# syntax=docker/dockerfile:1
# An image for training jobs. The package index's torch for Linux brings its own CUDA libraries, so the plain Python
# base serves GPUs as well: docker run --gpus all ... needs only the driver and its container toolkit on the host.
#
#   docker build -t seq2seq .
#   docker run --rm --shm-size 1g -v "$PWD/data:/data" -v "$PWD/runs:/runs" seq2seq \
#       fit --config configs/demo/transformer.yaml --run_dir /runs/first
#
# Another base needs Python 3.11 or later with venv:  --build-arg BASE_IMAGE=registry.example/python-cuda:12.8
# torch built for the CPU only (2 GB less), either from an index that has it:  --build-arg PIP_EXTRA_INDEX_URL=...
# or from a folder of wheels:  --build-context wheels=DIR
ARG BASE_IMAGE=python:3.11-slim-bookworm

# Empty; --build-context wheels=DIR puts a folder of wheels in its place.
FROM scratch AS wheels
WORKDIR /none

FROM ${BASE_IMAGE} AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv /opt/seq2seq
COPY pyproject.toml constraints.txt ./
# The dependencies change seldom: a layer of their own, before the source.
RUN --mount=type=bind,from=wheels,target=/wheels \
    /opt/seq2seq/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && /opt/seq2seq/bin/pip install --find-links /wheels -c constraints.txt -r requirements.txt
COPY LICENSE README.md ./
COPY seq2seq seq2seq
RUN /opt/seq2seq/bin/pip install --no-deps . \
    && /opt/seq2seq/bin/pip check

FROM ${BASE_IMAGE}
COPY --from=builder /opt/seq2seq /opt/seq2seq
COPY configs /work/configs
COPY data_scripts /work/data_scripts
# The default run folder, runs/NAME, and a config's data/ thus lie in the volumes. All may write to these and to HOME,
# so that `--user "$(id -u):$(id -g)"` works with folders of the host.
RUN (getent passwd 1000 || useradd --uid 1000 --home-dir /home/seq2seq --shell /bin/sh seq2seq) \
    && install -d -m 1777 /data /runs /home/seq2seq \
    && ln -s /data /work/data \
    && ln -s /runs /work/runs
ENV HOME=/home/seq2seq \
    USER=seq2seq \
    PATH=/opt/seq2seq/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 1000:1000
VOLUME ["/data", "/runs"]
STOPSIGNAL SIGTERM
# The exec form: a scheduler's SIGTERM reaches the training itself, which then saves a checkpoint.
ENTRYPOINT ["seq2seq"]
CMD ["--help"]
