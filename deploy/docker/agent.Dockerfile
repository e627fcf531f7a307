# bonafide-agent. From the root of the repository: docker build --file deploy/docker/agent.Dockerfile --tag bonafide-agent .
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
RUN mkdir -p /empty/run/bonafide-agent /empty/var/lib/bonafide-agent && mkdir -m 0700 /empty/run/bonafide-agent-private

FROM gcr.io/distroless/nodejs22-debian12:nonroot
COPY --from=build /out/agent /opt/bonafide
COPY --from=build /build/LICENSE /opt/bonafide/LICENSE
COPY --from=build --chown=65532:65532 /empty/run /run
COPY --from=build --chown=65532:65532 /empty/var/lib /var/lib
COPY deploy/config/agent.yaml /etc/bonafide/agent.yaml
# Which program a process of another user runs, the kernel tells only to who may trace it: run this one as root with CAP_SYS_PTRACE alone and
# in the pid namespace of the host (Kubernetes: hostPID: true; Docker: --pid=host --user=0 --cap-drop=ALL --cap-add=SYS_PTRACE). As it is, it
# attests by user ID, group ID and container.
USER nonroot
ENV SPIRE_AGENT_PUBLIC_SOCKET=/run/bonafide-agent/api.sock
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/nodejs/bin/node", "/opt/bonafide/main.js", "healthcheck"]
ENTRYPOINT ["/nodejs/bin/node", "/opt/bonafide/main.js"]
CMD ["run", "--config", "/etc/bonafide/agent.yaml"]
