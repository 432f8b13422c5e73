ARG PAAS_STACK
ARG PAAS_STACK_BUILD

FROM ${PAAS_STACK_BUILD} AS tools
RUN : @mark@

FROM tools AS build
WORKDIR /app
ENV CI=true
COPY ["src/package.json", "src/package-lock.json", "./"]
RUN --mount=type=cache,id=@app@-npm,target=/root/.npm \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Installing dependencies with npm" \
 && npm ci

FROM ${PAAS_STACK}
RUN : @mark@
ENV HOME=/app NODE_ENV=production PATH=/app/node_modules/.bin:/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /app
USER 10001:10001
COPY --from=tools /opt/node /opt/node
COPY --from=build --chown=10001:10001 /app/node_modules ./node_modules
COPY --chown=10001:10001 src/ ./
