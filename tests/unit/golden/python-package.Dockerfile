ARG PAAS_STACK
ARG PAAS_STACK_BUILD

FROM ${PAAS_STACK_BUILD} AS build
RUN : @mark@
WORKDIR /app
ENV VIRTUAL_ENV=/opt/venv UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY ["src/pyproject.toml", "src/uv.lock", "./"]
RUN --mount=type=cache,id=@app@-uv,target=/root/.cache/uv \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Installing dependencies with uv" \
 && uv venv --quiet /opt/venv \
 && uv sync --no-dev
COPY src/ ./
RUN --mount=type=cache,id=@app@-uv,target=/root/.cache/uv \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Installing the project" \
 && uv sync

FROM ${PAAS_STACK}
RUN : @mark@
ENV HOME=/app PYTHONUNBUFFERED=1 FORWARDED_ALLOW_IPS=* PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /app
USER 10001:10001
COPY --from=build /opt/venv /opt/venv
COPY --chown=10001:10001 src/ ./
RUN --mount=type=bind,source=env/build,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Collecting static files" \
 && { ./manage.py x || echo " !     collectstatic failed: static files may be missing"; }
