ARG PAAS_STACK
ARG PAAS_STACK_BUILD

FROM ${PAAS_STACK_BUILD} AS tools
RUN : @mark@

FROM tools AS build
WORKDIR /app
ENV CI=true
COPY ["src/package.json", "./"]
RUN --mount=type=cache,id=@app@-npm,target=/root/.npm \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Installing dependencies with npm" \
 && npm ci
COPY src/ ./
RUN --mount=type=cache,id=@app@-npm,target=/root/.npm \
    --mount=type=bind,source=env/build,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Building" \
 && npm run build \
 && { test -f dist/index.html || { echo "no dist/index.html was built"; exit 1; }; }

FROM ${PAAS_STACK}
RUN : @mark@
ENV HOME=/app PAAS_WEB_ROOT=/app
WORKDIR /app
USER 10001:10001
COPY --from=build --chown=10001:10001 /app/dist/ ./
