# syntax=docker/dockerfile:1.7
# docker build -t doorward .                       the edge alone
# docker build -t doorward-demo --target demo .    the edge, sample apps and a stand-in tenant, for trying out

FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY policy policy
COPY config config
COPY proxy proxy
COPY demo demo
# Members of the workspace: cargo wants to see them, nothing of them is built.
COPY tests tests
COPY benches benches

FROM build AS build-edge
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release -p doorward-proxy --bin doorward \
    && install -D target/release/doorward /out/doorward \
    && install -d -m 0700 /state

FROM build AS build-demo
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile demo -p doorward-proxy -p doorward-demo --bins \
    && install -D target/demo/doorward /out/doorward \
    && install -D target/demo/doorward-demo /out/doorward-demo

# Everything in it listens on loopback, where the browser is too: docker run --rm -it --network host doorward-demo
FROM gcr.io/distroless/cc-debian12:nonroot AS demo
COPY --from=build-demo /out/ /usr/local/bin/
COPY LICENSE /usr/share/doc/doorward/LICENSE
ENTRYPOINT ["doorward-demo"]

# docker run -v ./doorward:/etc/doorward:ro -p 443:8443 -p 80:8080 doorward      (user 65532 must be able to read it)
# No shell, no package manager, and nobody is root in it. 9090 is for metrics and health, where `server.admin` says so;
# do not publish it.
FROM gcr.io/distroless/cc-debian12:nonroot AS edge
COPY --from=build-edge /out/doorward /usr/local/bin/doorward
# For `server.state_dir`: put a volume here, and a restart forgets nothing.
COPY --from=build-edge --chown=65532:65532 /state /var/lib/doorward
COPY LICENSE /usr/share/doc/doorward/LICENSE
EXPOSE 8443 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["doorward"]
CMD ["serve", "--config", "/etc/doorward/doorward.yaml"]
