# One image for every process of the shop; docker-compose.yml says which container runs which.
# Also a whole small shop in one container, with its own Valkey:
#   docker run -p 8000:8000 -v oncecart:/data oncecart python -m web.start

# Debian with glibc, not Alpine: wheels of psycopg, granian and pysqlite3 exist for it, nothing is compiled.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Without pip inside: the last stage runs what is installed and installs nothing.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt requirements-otel.txt /tmp/
# requirements-otel.txt: with what OTEL_EXPORTER_OTLP_ENDPOINT needs.
ARG REQUIREMENTS=requirements.txt
# Before the code, so that a change of ours does not install everything again.
RUN pip --python /opt/venv/bin/python install --only-binary :all: -r /tmp/$REQUIREMENTS
# .dockerignore lists what the shop needs and lets nothing else in.
COPY . /app
# Here, because the shop itself may not write there. By hash, unchecked: the code in an image never changes.
RUN python -m compileall -q --invalidation-mode unchecked-hash /app


FROM python:3.13-slim
# PYTHONSAFEPATH: the working directory is writable, so no code is imported from it.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    PYTHONPATH=/app \
    FLASK_APP=app \
    HOST=0.0.0.0 \
    PORT=8000 \
    VAR_DIR=/data
# By number, so that Kubernetes can see that it is not root. A new volume takes its owner from here.
RUN groupadd --gid 10001 oncecart \
    && useradd --uid 10001 --gid oncecart --no-create-home --home-dir /data --shell /usr/sbin/nologin oncecart \
    && install --directory --owner oncecart --group oncecart --mode 700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
USER 10001:10001
# Everything that must survive is in /data; .env there is read as in any working directory (see web/prepare.py).
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["python", "/app/app.py"]
