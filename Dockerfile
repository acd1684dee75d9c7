# The image of Plumb: the static binary and the certificates of public authorities, nothing else.
#   docker build --build-arg VERSION=v1.0.0 -t registry.example.com/plumb:v1.0.0 .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG VERSION=v0.0.0-dev
ARG COMMIT=unknown
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags disable_grpc_modules,grpcnotrace \
    -ldflags "-s -w -X github.com/plumb-gitops/plumb/cli.version=$VERSION -X github.com/plumb-gitops/plumb/cli.commit=$COMMIT" \
    -o /plumb .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /plumb /plumb
# As `plumb install` has it too; no name, since there is no /etc/passwd.
USER 65532:65532
ENTRYPOINT ["/plumb"]
