# syntax=docker/dockerfile:1
# An image for training jobs; docs/training-jobs.md says how to build and run it. The package index's torch for Linux
# brings its own CUDA libraries, so that the plain Python base serves GPUs as well.
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
# Tokenised text outlives the container, and the next one finds it.
ENV HOME=/home/seq2seq \
    USER=seq2seq \
    SEQ2SEQ_CACHE=/runs/.cache \
    PATH=/opt/seq2seq/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 1000:1000
VOLUME ["/data", "/runs"]
# Whatever the base says. In the exec form it reaches the training itself, which then saves a checkpoint.
STOPSIGNAL SIGTERM
ENTRYPOINT ["seq2seq"]
CMD ["--help"]
