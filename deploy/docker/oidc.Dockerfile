# bonafide-oidc. From the root of the repository: docker build --file deploy/docker/oidc.Dockerfile --tag bonafide-oidc .
ARG NODE_VERSION=22.21.1
ARG DEBIAN=bookworm

FROM docker.io/library/node:${NODE_VERSION}-${DEBIAN} AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY proto proto
COPY packages packages
COPY test/package.json test/package.json
RUN npm ci --no-audit --no-fund
COPY LICENSE tsconfig.base.json tsconfig.json ./
COPY scripts scripts
RUN node scripts/generate-rpc-types.mjs && node scripts/package.mjs --output /out
# Folders that the program writes to, owned by the image's user, so that volumes mounted there are too.
RUN mkdir -p /empty/run/bonafide-oidc /empty/var/lib/bonafide-oidc

FROM gcr.io/distroless/nodejs22-debian12:nonroot
COPY --from=build /out/oidc /opt/bonafide
COPY --from=build /build/LICENSE /opt/bonafide/LICENSE
COPY --from=build --chown=65532:65532 /empty/run /run
COPY --from=build --chown=65532:65532 /empty/var/lib /var/lib
COPY deploy/config/oidc.yaml /etc/bonafide/oidc.yaml
USER nonroot
EXPOSE 443
ENTRYPOINT ["/nodejs/bin/node", "/opt/bonafide/main.js"]
CMD ["run", "--config", "/etc/bonafide/oidc.yaml"]
