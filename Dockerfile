# Edgetwin in a container: configuration in /config, data in /data.
#   docker build -t edgetwin .
#   docker run -v ./config:/config:ro -v edgetwin:/data -p 127.0.0.1:8080:8080 -p 4840:4840 edgetwin
# Inside a container the web page and the OPC UA server listen on the container's own network: the site file says
# `web: {host: 0.0.0.0, insecure: true}` and `gateway: {data_dir: /data}`, and -p decides who reaches them.

FROM python:3.11-slim AS build
RUN python -m venv /opt/edgetwin
WORKDIR /src
COPY requirements.lock ./
RUN /opt/edgetwin/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/edgetwin/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin edgetwin \
 && install -d -o edgetwin -g edgetwin -m 0700 /data \
 && install -d -o edgetwin -g edgetwin -m 0750 /run/edgetwin \
 && install -d -m 0755 /config
COPY --from=build /opt/edgetwin /opt/edgetwin
ENV PATH=/opt/edgetwin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 \
    CONFIG_PATH=/config/site.yaml \
    WEB_PORT=8080
USER edgetwin
WORKDIR /data
VOLUME ["/config", "/data"]
EXPOSE 8080 4840
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['WEB_PORT']}/healthz\", timeout=4)"]
# CONFIG_PATH is the argument's default.
CMD ["edgetwin", "run"]
