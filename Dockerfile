# Two images: `server` (the platform, and HAProxy beside it) and `database`. BASE is any Debian with apt: pulled where a
# registry answers, else made with: mmdebstrap --variant=minbase --include=ca-certificates bookworm | docker import - debian
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS database
# What is built on one of our own base images must not be taken for one.
LABEL paas.stack=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-common \
    && echo "create_main_cluster = false" >>/etc/postgresql-common/createcluster.conf \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin /opt/postgresql
ENV PATH=/opt/postgresql:$PATH PGDATA=/var/lib/postgresql/data
# Nobody reaches it but through the socket, whose folder only root and postgres may enter.
RUN install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data /run/postgresql
VOLUME ["/var/lib/postgresql/data", "/run/postgresql"]
USER postgres
CMD ["sh", "-c", "[ -s \"$PGDATA/PG_VERSION\" ] || initdb --auth=trust --encoding=UTF8 --locale=C.UTF-8 --username=paas; exec postgres -c listen_addresses=''"]

FROM ${BASE} AS server
LABEL paas.stack=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates git haproxy iptables mmdebstrap openssh-client python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 970 --user-group --no-create-home --home-dir=/ --shell=/usr/sbin/nologin paas-git
WORKDIR /opt/paas
COPY requirements.lock pyproject.toml ./
# The lock serves development too: those tools do not stay in the image.
RUN python3 -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock \
    && .venv/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['dependency-groups']['dev'])" \
        | xargs .venv/bin/pip uninstall --quiet --yes
COPY . .
RUN python3 -m compileall -q .
ENV PYTHONUNBUFFERED=1 PATH=/opt/paas/.venv/bin:$PATH
STOPSIGNAL SIGTERM
CMD ["python", "-m", "server.main"]
