ARG PAAS_STACK
ARG PAAS_STACK_BUILD

FROM ${PAAS_STACK_BUILD} AS build
RUN : @mark@
WORKDIR /app
ENV VIRTUAL_ENV=/opt/venv UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN --mount=type=cache,id=@app@-uv,target=/root/.cache/uv \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Preparing Python" \
 && uv venv --quiet /opt/venv

FROM ${PAAS_STACK}
RUN : @mark@
ENV HOME=/app PYTHONUNBUFFERED=1 FORWARDED_ALLOW_IPS=* PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /app
USER 10001:10001
COPY --from=build /opt/venv /opt/venv
COPY --chown=10001:10001 src/ ./
