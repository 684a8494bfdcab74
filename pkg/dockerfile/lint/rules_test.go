package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// today is the day on which the tests judge what is supported.
var today = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// writeFiles writes files into a directory.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	writeInto(t, dir, files)
	return dir
}

func writeInto(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// places returns path:line:column rule of the findings, those of one rule alone
// when it is named.
func places(report *Report, rule string) []string {
	places := []string{}
	for _, f := range report.Findings {
		if rule == "" || f.Rule == rule {
			at := fmt.Sprintf("%s:%d:%d-%d", f.Path, f.Line, f.Column, f.EndColumn)
			if f.EndLine != f.Line {
				at = fmt.Sprintf("%s:%d:%d-%d:%d", f.Path, f.Line, f.Column, f.EndLine, f.EndColumn)
			}
			places = append(places, strings.TrimSpace(strings.TrimPrefix(at, "Dockerfile:")+" "+strings.TrimPrefix(f.Rule, rule)))
		}
	}
	return places
}

// check runs all rules on files, the Dockerfile among them.
func check(t *testing.T, files map[string]string, target string) *Report {
	t.Helper()
	report, err := Run(t.Context(), Options{Dir: writeFiles(t, files), Target: target, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const hash = " --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000"

// TestRules has for each rule what it finds, and what looks like it and is right.
func TestRules(t *testing.T) {
	slim := "FROM python:3.13-slim\n"
	type test struct {
		name, dockerfile string
		files            map[string]string
		target           string
		want             []string
	}
	for rule, tests := range map[string][]test{
		"apt-lists-kept": {
			{name: "kept", dockerfile: slim + "RUN apt-get update && apt-get install -y --no-install-recommends libpq5", want: []string{"2:5-19"}},
			{name: "removed later", dockerfile: slim + "RUN apt update\nRUN rm -rf /var/lib/apt/lists/*", want: []string{"2:5-15"}},
			{name: "over several lines", dockerfile: slim + "RUN set -eux; \\\n    # the index\n    apt-get -qq update; \\\n    apt-get install -y libpq5", want: []string{"4:5-23"}},
			{name: "in a heredoc", dockerfile: slim + "RUN <<EOF\nset -e\napt-get update\napt-get install -y libpq5\nEOF", want: []string{"4:1-15"}},
			{name: "removed", dockerfile: slim + "RUN apt-get update && apt-get install -y libpq5 \\\n && rm -rf /var/lib/apt/lists/*"},
			{name: "mounted", dockerfile: slim + "RUN --mount=type=cache,target=/var/lib/apt,sharing=locked --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y libpq5"},
			{name: "build stage", dockerfile: slim + "RUN apt-get update && apt-get install -y gcc\nFROM python:3.13-slim\nCOPY --from=0 /opt/venv /opt/venv"},
			{name: "only spoken of", dockerfile: slim + "RUN echo 'apt-get update && x' # apt-get update"},
		},
		"apt-recommends": {
			{name: "with", dockerfile: slim + "RUN apt-get update && apt-get -y install libpq5", want: []string{"2:23-41"}},
			{name: "without", dockerfile: slim + "RUN apt-get install -y --no-install-recommends libpq5"},
			{name: "configured", dockerfile: slim + "RUN echo 'APT::Install-Recommends \"false\";' > /etc/apt/apt.conf.d/99\nRUN apt-get install -y libpq5"},
			{name: "other command", dockerfile: slim + "RUN apt-get upgrade -y && pip install x"},
		},
		"base-image-floating": {
			{name: "no tag", dockerfile: "FROM python", want: []string{"1:6-12"}},
			{name: "latest", dockerfile: "FROM python:latest", want: []string{"1:6-19"}},
			{name: "major version", dockerfile: "FROM python:3-slim", want: []string{"1:6-19"}},
			{name: "flavor alone", dockerfile: "FROM docker.io/library/python:slim-bookworm AS base", want: []string{"1:6-44"}},
			{name: "by an argument", dockerfile: "ARG TAG=latest\nFROM debian:$TAG", want: []string{"2:6-17"}},
			{name: "copied from", dockerfile: slim + "COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/", want: []string{"2:13-40"}},
			{name: "mounted from", dockerfile: slim + "RUN --mount=from=ghcr.io/astral-sh/uv,source=/uv,target=/bin/uv uv sync", want: []string{"2:18-38"}},
			{name: "flavor of latest", dockerfile: "FROM cgr.dev/chainguard/python:latest-dev", want: []string{"1:6-42"}},
			{name: "flavor of stable", dockerfile: "FROM debian:stable-slim", want: []string{"1:6-24"}},
			{name: "no such stage", dockerfile: slim + "COPY --from=biuld /a /b", want: []string{"2:13-18"}},
			{name: "its own stage", dockerfile: "FROM python:3.13-slim AS build\nCOPY --from=build /a /b"},
			{name: "other image", dockerfile: "FROM registry.example.com:5000/team/base", want: []string{"1:6-41"}},
			{name: "minor version", dockerfile: slim},
			{name: "digest", dockerfile: "FROM python@sha256:" + strings.Repeat("a", 64)},
			{name: "digest of latest", dockerfile: "FROM python:latest@sha256:" + strings.Repeat("a", 64)},
			{name: "distroless", dockerfile: "FROM gcr.io/distroless/python3-debian12"},
			{name: "scratch and stages", dockerfile: "FROM scratch AS python\nFROM python\nCOPY --from=python /a /b\nCOPY --from=0 /a /c"},
			{name: "not needed", dockerfile: "FROM python:latest AS dev\nFROM python:3.13-slim"},
			{name: "unknown", dockerfile: "ARG BASE\nFROM $BASE"},
			{name: "registry with a port", dockerfile: "FROM registry.example.com:5000/base:1.4"},
		},
		"base-image-full": {
			{name: "full", dockerfile: "FROM python:3.13", want: []string{"1:6-17"}},
			{name: "of a release of Debian", dockerfile: "FROM mirror.example.com/library/python:3.13.1-bookworm", want: []string{"1:6-55"}},
			{name: "slim", dockerfile: slim},
			{name: "alpine", dockerfile: "FROM python:3.13-alpine"},
			{name: "build stage", dockerfile: "FROM python:3.13 AS build\nFROM python:3.13-slim\nCOPY --from=build /opt/venv /opt/venv"},
			{name: "others' python", dockerfile: "FROM bitnami/python:3.13"},
			{name: "a user's python", dockerfile: "FROM acme/python:3.13"},
			{name: "a vendor's python", dockerfile: "FROM mcr.microsoft.com/devcontainers/python:1-3.13"},
		},
		"base-image-unsupported": {
			{name: "python", dockerfile: "FROM python:3.8-slim", want: []string{"1:6-21"}},
			{name: "since this month", dockerfile: "FROM python:3.10.19-slim", want: []string{"1:6-25"}},
			{name: "debian", dockerfile: "FROM python:3.13-slim-bullseye", want: []string{"1:6-31"}},
			{name: "both", dockerfile: "FROM python:3.7-buster", want: []string{"1:6-23", "1:6-23"}},
			{name: "by number", dockerfile: "FROM debian:10-slim", want: []string{"1:6-20"}},
			{name: "ubuntu", dockerfile: "FROM ubuntu:focal", want: []string{"1:6-18"}},
			{name: "alpine", dockerfile: "FROM python:3.13-alpine3.18", want: []string{"1:6-28"}},
			{name: "in another's tag", dockerfile: "FROM tiangolo/uvicorn-gunicorn-fastapi:python3.9", want: []string{"1:6-49"}},
			{name: "ubuntu in another's tag", dockerfile: "FROM nvidia/cuda:11.8.0-runtime-ubuntu20.04", want: []string{"1:6-44"}},
			{name: "its name in another's tag", dockerfile: "FROM mcr.microsoft.com/playwright/python:v1.40.0-focal", want: []string{"1:6-55"}},
			{name: "between two of long support", dockerfile: "FROM ubuntu:25.10", want: []string{"1:6-18"}},
			{name: "python with a hyphen", dockerfile: "FROM quay.io/jupyter/base-notebook:python-3.9", want: []string{"1:6-46"}},
			{name: "the first of Python 3", dockerfile: "FROM python:3.2-slim", want: []string{"1:6-21"}},
			{name: "up to the summer", dockerfile: "FROM ubuntu:jammy-20240530"},
			{name: "alpine's next", dockerfile: "FROM alpine:3.24"},
			{name: "pypy", dockerfile: "FROM pypy:3.8-slim"},
			{name: "distroless", dockerfile: "FROM gcr.io/distroless/python3-debian11", want: []string{"1:6-40"}},
			{name: "build stage", dockerfile: "FROM python:3.8-slim AS build\nFROM python:3.13-slim\nCOPY --from=build /opt/venv /opt/venv", want: []string{"1:6-21"}},
			{name: "by an argument", dockerfile: "ARG V=3.6\nFROM python:${V}-slim", want: []string{"2:6-22"}},
			{name: "supported", dockerfile: "FROM python:3.11-slim-bookworm"},
			{name: "newer than the table", dockerfile: "FROM python:3.19-slim-forky"},
			{name: "stage not needed", dockerfile: "FROM python:3.8 AS old\nFROM python:3.13-slim"},
			{name: "a stage of that name", dockerfile: "FROM python:3.13-slim AS buster\nFROM buster"},
		},
		"build-tools-left": {
			{name: "debian", dockerfile: slim + "RUN apt-get install -y curl gcc libpq-dev", want: []string{"2:29-32"}},
			{name: "alpine", dockerfile: "FROM python:3.13-alpine\nRUN apk add --no-cache build-base libffi-dev", want: []string{"2:24-34"}},
			{name: "inherited", dockerfile: slim[:len(slim)-1] + " AS base\nRUN apt-get install -y make\nFROM base", want: []string{"2:24-28"}},
			{name: "of an architecture", dockerfile: slim + "RUN apt-get install -y libpq-dev:amd64", want: []string{"2:24-39"}},
			{name: "what was asked for", dockerfile: slim + "RUN apt-get install -y gcc && apt-get autoremove -y && apt-get clean", want: []string{"2:24-27"}},
			{name: "autoremoved", dockerfile: slim + "RUN apt-get install -y gcc && apt-get autoremove -y gcc"},
			{name: "removed", dockerfile: slim + "RUN apt-get install -y gcc && pip install x==1 && apt-get purge -y --auto-remove gcc"},
			{name: "virtual", dockerfile: "FROM python:3.13-alpine\nRUN apk add --virtual .build-deps gcc && pip install x==1 && apk del .build-deps"},
			{name: "build stage", dockerfile: slim[:len(slim)-1] + " AS build\nRUN apt-get install -y gcc\nFROM python:3.13-slim\nCOPY --from=build /opt/venv /opt/venv"},
			{name: "libraries", dockerfile: slim + "RUN apt-get install -y libpq5 libgcc-s1 curl"},
		},
		"code-before-dependencies": {
			{name: "all", dockerfile: slim + "COPY . /app\nRUN pip install -r /app/requirements.txt", want: []string{"3:5-16"}},
			{name: "a directory of code", dockerfile: slim + "COPY requirements.txt src ./\nRUN pip install -r requirements.txt", files: map[string]string{"src/app/main.py": ""}, want: []string{"3:5-16"}},
			{name: "a file of code", dockerfile: slim + "COPY main.py requirements.txt ./\nRUN pip install -r requirements.txt", want: []string{"3:5-16"}},
			{name: "uv", dockerfile: slim + "ADD . .\nRUN uv sync --frozen", want: []string{"3:5-12"}},
			{name: "poetry", dockerfile: slim + "WORKDIR /app\nCOPY ./ ./\nRUN poetry config virtualenvs.create false && poetry install", want: []string{"4:47-61"}},
			{name: "the project itself", dockerfile: slim + "COPY . .\nRUN pip install .", want: []string{"3:5-16"}},
			{name: "by a trigger", dockerfile: "FROM python:3.13-slim AS base\nONBUILD COPY . /app\nONBUILD RUN pip install -r /app/requirements.txt\nFROM base", want: []string{"3:13-24"}},
			{name: "dependencies first", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . ."},
			{name: "project last", dockerfile: slim + "COPY pyproject.toml uv.lock ./\nRUN uv sync --frozen --no-install-project\nCOPY . .\nRUN uv sync --frozen"},
			{name: "project without dependencies", dockerfile: slim + "COPY . .\nRUN pip install --no-deps ."},
			{name: "code of another stage", dockerfile: slim + "COPY . .\nFROM python:3.13-slim\nCOPY --from=0 . .\nRUN pip install x==1"},
			{name: "requirements in a directory", dockerfile: slim + "COPY requirements/ ./requirements/\nRUN pip install -r requirements/prod.txt\nCOPY . .", files: map[string]string{"requirements/prod.txt": ""}},
		},
		"dev-dependencies-in-image": {
			{name: "a file", dockerfile: slim + "COPY *.txt .\nRUN pip install -r requirements.txt -r requirements-dev.txt", want: []string{"3:40-60"}},
			{name: "a package", dockerfile: slim + "RUN pip install fastapi==0.1 pytest==8.0", want: []string{"2:30-41"}},
			{
				name: "in the requirements", dockerfile: slim + "COPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt",
				files: map[string]string{"requirements.txt": "fastapi==0.1\nPytest_Cov==1.0\n"}, want: []string{"requirements.txt:2:1-16"},
			},
			{name: "an extra", dockerfile: slim + "COPY . .\nRUN pip install '.[dev]'", want: []string{"3:17-25"}},
			{name: "poetry with a group", dockerfile: slim + "RUN poetry install --with dev,docs", want: []string{"2:27-35"}},
			{name: "poetry's groups", dockerfile: slim + "RUN poetry install", files: map[string]string{"pyproject.toml": "[tool.poetry.group.dev.dependencies]\npytest = \"*\"\n"}, want: []string{"2:5-19"}},
			{name: "uv", dockerfile: slim + "RUN uv sync --frozen", files: map[string]string{"pyproject.toml": "[dependency-groups]\ndev = [\"pytest\"]\n"}, want: []string{"2:5-12"}},
			{name: "pipenv", dockerfile: slim + "RUN pipenv install --dev --system", want: []string{"2:5-19"}},
			{name: "copied from a build stage", dockerfile: "FROM python:3.13-slim AS build\nRUN pip install pytest==8.0\nFROM python:3.13-slim\nCOPY --from=build /opt/venv /opt/venv", want: []string{"2:17-28"}},
			{name: "test stage", dockerfile: "FROM python:3.13-slim AS run\nFROM run AS test\nRUN pip install pytest==8.0\nFROM run"},
			{name: "test stage as target", dockerfile: "FROM python:3.13-slim AS run\nFROM run AS test\nRUN pip install pytest==8.0\nFROM run", target: "test"},
			{
				name: "of another package", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "black==24.1\n    # via datamodel-code-generator\ncoverage==7\n    # via\n    #   fastapi\n"},
			},
			{name: "uv without", dockerfile: slim + "RUN uv sync --frozen --no-dev", files: map[string]string{"pyproject.toml": "[dependency-groups]\ndev = [\"pytest\"]\n"}},
			{name: "uv by variable", dockerfile: slim + "ENV UV_NO_DEV=1\nRUN uv sync", files: map[string]string{"pyproject.toml": "[dependency-groups]\ndev = [\"pytest\"]\n"}},
			{name: "poetry main only", dockerfile: slim + "RUN poetry install --only=main", files: map[string]string{"pyproject.toml": "[tool.poetry.group.dev.dependencies]\npytest = \"*\"\n"}},
			{name: "poetry optional", dockerfile: slim + "RUN poetry install", files: map[string]string{"pyproject.toml": "[tool.poetry.group.dev]\noptional = true\n"}},
			{name: "a build stage's own", dockerfile: "FROM python:3.13-slim AS build\nRUN pip install pytest==8.0\nFROM python:3.13-slim\nCOPY --from=build /src/dist/app.whl /tmp/"},
		},
		"dockerfile-invalid": {
			{name: "instruction", dockerfile: "FROM python:3.13-slim\nRUNN x", want: []string{"2:1-7"}},
			{name: "only BuildKit finds it", dockerfile: "FROM python:3.13-slim\nCOPY --from=later / /\nFROM python:3.13-slim\nENV =x", want: []string{"4:1-7"}},
			{name: "a base that the build names", dockerfile: "ARG BASE\nFROM ${BASE}"},
			{name: "a base that nothing names", dockerfile: "FROM ${BASE}", want: []string{"1:1-13"}},
			{name: "no FROM", dockerfile: "ARG A=1", want: []string{"0:0-0"}},
			{name: "valid", dockerfile: slim},
		},
		"dockerignore-missing": {
			{name: "missing", dockerfile: slim + "WORKDIR /app\nCOPY . .", want: []string{"3:1-9"}},
			{name: "there", dockerfile: slim + "COPY . .", files: map[string]string{".dockerignore": ".git\n"}},
			{name: "the Dockerfile's own", dockerfile: slim + "COPY . .", files: map[string]string{"Dockerfile.dockerignore": ".git\n"}},
			{name: "not all is copied", dockerfile: slim + "COPY src /app"},
			{name: "of a stage", dockerfile: slim + "FROM python:3.13-slim\nCOPY --from=0 . ."},
		},
		"ignore-unknown": {
			{name: "unknown", dockerfile: "# pyflow: ignore=root-user,rot-user\nFROM python:3.13-slim", want: []string{"1:28-36"}},
			{name: "nothing", dockerfile: "# pyflow: ignore=\nFROM python:3.13-slim", want: []string{"1:18-18"}},
			{
				name: "in the requirements", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "a==1 # pyflow: ignore=nothing-such\n"}, want: []string{"requirements.txt:1:23-35"},
			},
			{name: "without an equals sign", dockerfile: "# pyflow: ignore root-user\nFROM python:3.13-slim", want: []string{"1:18-18"}},
			{name: "at the end of an instruction", dockerfile: slim + "USER 1\nRUN pip install x==1 # pyflow: ignore=pip-cache-kept", want: []string{"3:39-53"}},
			{name: "about something else", dockerfile: "# pyflow: ignored files are in .dockerignore\nFROM python:3.13-slim"},
			{name: "BuildKit's", dockerfile: "# pyflow: ignore=StageNameCasing the reason\nFROM python:3.13-slim"},
			{name: "in a heredoc", dockerfile: slim + "RUN <<EOF\n# pyflow: ignore=nothing\nEOF"},
		},
		"installer-piped-to-shell": {
			{name: "curl", dockerfile: slim + "RUN curl -sSL https://install.example.com | POETRY_HOME=/opt python3 -", want: []string{"2:5-71"}},
			{name: "wget", dockerfile: slim + "RUN wget -qO- https://x.example.com |\\\n  sudo bash", want: []string{"2:5-3:12"}},
			{name: "substituted", dockerfile: slim + "RUN sh -c \"$(curl -fsSL https://x.example.com)\" -- -y", want: []string{"2:5-54"}},
			{name: "a word of it", dockerfile: slim + "RUN sh -c 'echo $(curl https://x.example.com)'"},
			{name: "to a file", dockerfile: slim + "RUN curl -o x https://x.example.com && sh x"},
			{name: "to tar", dockerfile: slim + "RUN curl https://x.example.com | tar xz || sh y"},
		},
		"listens-on-localhost": {
			{name: "uvicorn", dockerfile: slim + `CMD ["uvicorn", "main:app", "--port", "8000"]`, want: []string{"2:6-15"}},
			{name: "python -m", dockerfile: slim + `CMD ["python", "-m", "uvicorn", "main:app", "--host=127.0.0.1"]`, want: []string{"2:45-63"}},
			{name: "gunicorn", dockerfile: slim + `CMD exec gunicorn app:app`, want: []string{"2:10-18"}},
			{name: "hypercorn", dockerfile: slim + `CMD ["hypercorn", "app:app", "-b", "localhost:80"]`, want: []string{"2:30-34"}},
			{name: "split", dockerfile: slim + "ENTRYPOINT [\"uvicorn\", \"main:app\"]\nCMD [\"--port\", \"8000\"]", want: []string{"2:13-22"}},
			{name: "conda", dockerfile: slim + `CMD ["conda", "run", "--no-capture-output", "-n", "app", "uvicorn", "main:app"]`, want: []string{"2:58-67"}},
			{name: "fastapi dev", dockerfile: slim + `CMD ["fastapi", "dev"]`}, // reload-in-production says it
			{name: "on all addresses", dockerfile: slim + `CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]`},
			{name: "split, on all addresses", dockerfile: slim + "ENTRYPOINT [\"uvicorn\", \"main:app\"]\nCMD [\"--host\", \"0.0.0.0\"]"},
			{name: "by variable", dockerfile: slim + "ENV UVICORN_HOST=0.0.0.0\nCMD [\"uvicorn\", \"main:app\"]"},
			{name: "gunicorn's config", dockerfile: slim + `CMD ["gunicorn", "-c", "conf.py", "app:app"]`},
			{name: "gunicorn's own config", dockerfile: slim + `CMD ["gunicorn", "app:app"]`, files: map[string]string{"gunicorn.conf.py": ""}},
			{name: "short option", dockerfile: slim + `CMD ["gunicorn", "-b0.0.0.0:80", "app:app"]`},
			{name: "fastapi run", dockerfile: slim + `CMD ["fastapi", "run", "main.py"]`},
			{name: "port by variable", dockerfile: slim + `CMD exec uvicorn main:app --port $PORT --workers ${N:-1}`, want: []string{"2:10-17"}},
			{name: "unknown arguments", dockerfile: slim + `CMD exec uvicorn main:app $OPTIONS`},
			{name: "unknown arguments behind a flag", dockerfile: slim + `CMD exec uvicorn main:app --proxy-headers $OPTIONS`},
			{name: "a script", dockerfile: slim + `CMD ["python", "main.py"]`},
			{name: "not run", dockerfile: slim + "CMD [\"uvicorn\", \"main:app\"]\nCMD [\"python\", \"main.py\"]"},
		},
		"pip-cache-kept": {
			{name: "pip", dockerfile: slim + "RUN pip install x==1", want: []string{"2:5-16"}},
			{name: "python -m pip", dockerfile: slim + "RUN cd /app && FOO=1 python3.13 -m pip --quiet install x==1", want: []string{"2:22-55"}},
			{name: "in a shell", dockerfile: slim + "RUN bash -ec \"pip3 install x==1\"", want: []string{"2:15-27"}},
			{name: "exec form", dockerfile: slim + `RUN ["/opt/venv/bin/pip", "install", "x==1"]`, want: []string{"2:6-36"}},
			{name: "uv", dockerfile: slim + "RUN uv pip install --system x==1", want: []string{"2:5-19"}},
			{name: "poetry", dockerfile: slim + "RUN poetry install --only main", want: []string{"2:5-19"}},
			{name: "behind a substitution", dockerfile: slim + `RUN echo "$(date +"%d)")" && pip install x==1`, want: []string{"2:30-41"}},
			{name: "behind a default", dockerfile: slim + `RUN test -f ${A:-"}"} && pip install x==1`, want: []string{"2:26-37"}},
			{name: "xargs", dockerfile: slim + "RUN xargs -n1 pip install < r.txt", want: []string{"2:15-26"}},
			{name: "timeout", dockerfile: slim + "RUN timeout 60 pip install x==1", want: []string{"2:16-27"}},
			{name: "substituted", dockerfile: slim + "RUN x=$(pip install x==1)", want: []string{"2:9-20"}},
			{name: "in a loop", dockerfile: slim + "RUN for p in a b; do sudo -u app env A=1 pip install $p==1; done", want: []string{"2:42-53"}},
			{name: "in a heredoc", dockerfile: slim + "RUN <<EOF\nset -e\nif true; then\n  pip install x==1\nfi\nEOF", want: []string{"5:3-14"}},
			{name: "off", dockerfile: slim + "RUN pip --no-cache-dir install x==1 && pip install --no-cache-dir y==1"},
			{name: "off by ENV", dockerfile: slim + "ENV PIP_NO_CACHE_DIR=1\nRUN pip install x==1"},
			{name: "off by ENV of a stage", dockerfile: slim[:len(slim)-1] + " AS base\nENV PIP_NO_CACHE_DIR=off UV_NO_CACHE=1\nFROM base\nRUN pip install x==1 && uv sync"},
			{name: "off by assignment", dockerfile: slim + "RUN export UV_NO_CACHE=1 && PIP_NO_CACHE_DIR=1 pip install x==1 && uv pip install y==1"},
			{name: "mounted", dockerfile: slim + "RUN --mount=type=cache,target=/root/.cache/pip \\\n    pip install x==1"},
			{name: "mounted elsewhere", dockerfile: slim + "ENV UV_CACHE_DIR=/tmp/uv PIP_CACHE_DIR=/tmp/pip/a\nRUN --mount=type=cache,target=/tmp/uv/ uv sync\nRUN --mount=type=cache,target=$UV_CACHE_DIR uv sync\nRUN --mount=type=cache,target=/tmp/pip pip install x==1"},
			{name: "apt's mounted", dockerfile: slim + "RUN --mount=type=cache,target=/var/cache/apt apt-get install -y libpq5 && pip install x==1", want: []string{"2:75-86"}},
			{name: "removed", dockerfile: slim + "RUN pip install x==1 && rm -rf ~/.cache"},
			{name: "build stage", dockerfile: slim + "RUN pip install x==1\nFROM python:3.13-slim\nCOPY --from=0 /opt/venv /opt/venv"},
			{name: "no installation", dockerfile: slim + "RUN pip --version && echo pip install && pip uninstall -y x"},
		},
		"pip-upgraded": {
			{name: "upgraded", dockerfile: slim + "RUN pip install --upgrade pip setuptools wheel", want: []string{"2:27-30"}},
			{name: "short", dockerfile: slim + "RUN python -m pip install -qU pip", want: []string{"2:31-34"}},
			{name: "pinned", dockerfile: slim + "RUN pip install --upgrade pip==26.1"},
			{name: "another", dockerfile: slim + "RUN pip install --upgrade x"},
		},
		"reload-in-production": {
			{name: "reload", dockerfile: slim + `CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--reload"]`, want: []string{"2:50-60"}},
			{name: "flask run", dockerfile: slim + `CMD ["flask", "run", "--host=0.0.0.0"]`, want: []string{"2:6-20"}},
			{name: "python -m flask", dockerfile: slim + `CMD python -m flask --debug run -h 0.0.0.0`, want: []string{"2:15-32", "2:21-28"}},
			{name: "fastapi dev", dockerfile: slim + `CMD fastapi dev main.py --host 0.0.0.0`, want: []string{"2:5-16"}},
			{name: "runserver", dockerfile: slim + `CMD ["python", "manage.py", "runserver", "0.0.0.0:8000"]`, want: []string{"2:16-40"}},
			{name: "after a migration", dockerfile: slim + `CMD ["sh", "-c", "python manage.py migrate && python manage.py runserver 0.0.0.0:80"]`, want: []string{"2:54-73"}},
			{name: "variables", dockerfile: slim + "ENV PYTHONUNBUFFERED=1 \\\n    FLASK_DEBUG=1 \\\n    DEBUG=True", want: []string{"3:5-16", "4:5-10"}},
			{name: "old form", dockerfile: slim + "ENV FLASK_ENV development", want: []string{"2:5-14"}},
			{name: "behind wrappers", dockerfile: slim + `ENTRYPOINT ["tini", "--"]` + "\n" + `CMD ["uv", "run", "uvicorn", "a:b", "--reload", "--host", "0"]`, want: []string{"3:37-47"}},
			{name: "behind an entrypoint", dockerfile: slim + `ENTRYPOINT ["/entrypoint.sh"]` + "\n" + `CMD ["uvicorn", "a:b", "--reload", "--host", "0"]`, want: []string{"3:24-34"}},
			{name: "behind a wait", dockerfile: slim + `CMD ["./wait-for-it.sh", "db:5432", "-t", "30", "--", "uvicorn", "a:b", "--reload", "--host", "0"]`, want: []string{"2:73-83"}},
			{name: "production", dockerfile: slim + "ENV FLASK_ENV=production DEBUG=0 DJANGO_DEBUG=False\n" + `CMD ["gunicorn", "app:app"]`},
			{name: "overridden", dockerfile: slim + "ENV DEBUG=1\nENV DEBUG=0"},
			{name: "another CMD", dockerfile: slim + "CMD flask run\n" + `CMD ["gunicorn", "app:app"]`},
			{name: "of a stage for development", dockerfile: slim[:len(slim)-1] + " AS base\nFROM base AS dev\nCMD fastapi dev\nFROM base"},
			{name: "a script of that name", dockerfile: slim + `CMD ["python", "run.py", "dev"]`},
			{name: "migration", dockerfile: slim + `CMD ["python", "manage.py", "migrate"]`},
		},
		"indexes-unhashed": {
			{name: "an option", dockerfile: slim + "RUN pip install --extra-index-url=https://pypi.example.com/simple a==1", want: []string{"2:35-66"}},
			{name: "two words", dockerfile: slim + "RUN pip install --extra-index-url https://pypi.example.com/simple a==1", want: []string{"2:35-66"}},
			{name: "the environment", dockerfile: slim + "ENV PIP_EXTRA_INDEX_URL=https://pypi.example.com/simple\nRUN pip install a==1", want: []string{"3:5-16"}},
			{name: "the command", dockerfile: slim + "RUN PIP_EXTRA_INDEX_URL=https://pypi.example.com/simple pip install a==1", want: []string{"2:57-68"}},
			{name: "a command before", dockerfile: slim + "RUN export PIP_EXTRA_INDEX_URL=https://pypi.example.com/simple && pip install a==1", want: []string{"2:67-78"}},
			{
				name: "a file", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "# ours\n--extra-index-url https://pypi.example.com/simple\na==1\n"}, want: []string{"requirements.txt:2:1-50"},
			},
			{name: "uv", dockerfile: slim + "RUN uv pip install --index-strategy unsafe-best-match --index https://pypi.example.com/simple a==1", want: []string{"2:37-54"}},
			{name: "uv's environment", dockerfile: slim + "ENV UV_INDEX_STRATEGY=unsafe-first-match\nRUN uv pip install a==1", want: []string{"3:5-19"}},
			{name: "uv takes the first index", dockerfile: slim + "RUN uv pip install --extra-index-url https://pypi.example.com/simple a==1"},
			{
				name: "hashes", dockerfile: slim + "COPY requirements.txt .\nRUN pip install --extra-index-url https://pypi.example.com/simple -r requirements.txt",
				files: map[string]string{"requirements.txt": "a==1" + hash + "\n"},
			},
			{name: "required hashes", dockerfile: slim + "RUN pip install --require-hashes --extra-index-url https://pypi.example.com/simple -r other.txt"},
			{name: "none for this command", dockerfile: slim + "RUN PIP_EXTRA_INDEX_URL= pip install a==1"},
			{name: "one index", dockerfile: slim + "RUN pip install --index-url https://pypi.example.com/simple a==1"},
			{name: "no index", dockerfile: slim + "RUN pip install --no-index --extra-index-url https://pypi.example.com/simple --find-links /wheels a==1"},
			{name: "a stage that is not needed", dockerfile: slim + " AS x\nRUN pip install --extra-index-url https://pypi.example.com/simple a==1\n" + slim},
		},
		"requirements-unhashed": {
			{
				name: "none", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "# locked\na==1\nb==2" + hash + "\n"}, want: []string{"requirements.txt:2:1-5"},
			},
			{
				name: "all", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "a==1 \\\n   " + hash + "\nb==2 ; python_version < '4'" + hash + "\n"},
			},
			{
				name: "in the URL", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "a @ https://example.com/a-1-py3-none-any.whl#sha256=" + strings.Repeat("0a", 32) + "\nb==2" + hash + "\n"},
			},
			{
				name: "from wheels", dockerfile: slim + "COPY requirements.txt .\nCOPY wheels /wheels\nRUN pip install --no-index --find-links=/wheels -r requirements.txt",
				files: map[string]string{"requirements.txt": "a==1\n"},
			},
			{name: "not pinned", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt", files: map[string]string{"requirements.txt": "a\n"}},
		},
		"requirements-unpinned": {
			{name: "a package", dockerfile: slim + "RUN pip install fastapi 'uvicorn[standard]>=0.30' httpx==0.27", want: []string{"2:17-24", "2:25-50"}},
			{
				name: "a file", dockerfile: slim + "WORKDIR /app\nCOPY requirements.txt ./\nRUN pip install -r requirements.txt",
				files: map[string]string{"requirements.txt": "\ufeff# x\r\nfastapi\r\n  uvicorn[standard] >= 0.30 ; python_version > '3' # why\r\nhttpx==0.27.*\r\nflask===3.0\r\n-e .\r\n"},
				want:  []string{"requirements.txt:2:1-8", "requirements.txt:3:3-51", "requirements.txt:4:1-14"},
			},
			{
				name: "included", dockerfile: slim + "COPY requirements /tmp/requirements\nRUN pip install -r/tmp/requirements/prod.txt",
				files: map[string]string{"requirements/prod.txt": "-r base.txt\ngunicorn==23.0\n", "requirements/base.txt": "django>=5\n-r prod.txt\n"}, want: []string{"requirements/base.txt:1:1-10"},
			},
			{
				name: "mounted", dockerfile: slim + "RUN --mount=type=bind,source=reqs/a.txt,target=/tmp/a.txt pip install --requirement=/tmp/a.txt",
				files: map[string]string{"reqs/a.txt": "x\n"}, want: []string{"reqs/a.txt:1:1-2"},
			},
			{
				name: "editable repository", dockerfile: slim + "COPY r.txt .\nRUN pip install -r r.txt",
				files: map[string]string{"r.txt": "-e git+https://example.com/x.git@main#egg=x\n--editable=git+https://example.com/y@" + strings.Repeat("a", 40) + "#egg=y\n-e ./local\n"}, want: []string{"r.txt:1:4-44"},
			},
			{name: "repository", dockerfile: slim + "RUN pip install git+https://example.com/x.git@main", want: []string{"2:17-51"}},
			{name: "uv", dockerfile: slim + "RUN uv pip install --system flask", want: []string{"2:29-34"}},
			{name: "no lock", dockerfile: slim + "COPY pyproject.toml .\nRUN uv sync", files: map[string]string{"pyproject.toml": "[project]\nname='x'\n"}, want: []string{"3:5-12"}},
			{name: "project", dockerfile: slim + "COPY . .\nRUN pip install .", files: map[string]string{"pyproject.toml": "[project]\nname = 'x'\ndependencies = [\n  \"fastapi>=0.1\",\n]\n"}, want: []string{"pyproject.toml:4:4-16"}},
			{
				name: "pinned", dockerfile: slim + "COPY requirements.txt .\nRUN pip install -r requirements.txt x==1 \"y == 2.0 ; python_version < '4'\"",
				files: map[string]string{"requirements.txt": "a==1\nb @ https://example.com/b-1.whl\nc @ git+https://example.com/c@" + strings.Repeat("a", 40) + "\n--index-url https://example.com\n./local\n"},
			},
			{name: "constrained", dockerfile: slim + "RUN pip install -c constraints.txt fastapi"},
			{
				name: "constrained, but one", dockerfile: slim + "COPY c.txt .\nRUN pip install -c c.txt fastapi uvicorn",
				files: map[string]string{"c.txt": "FastAPI==0.1\nuvicorn<2\n"}, want: []string{"3:34-41"},
			},
			{
				name: "constrained by a file of the file, but one", dockerfile: slim + "COPY r.txt c.txt ./\nRUN pip install -r r.txt",
				files: map[string]string{"r.txt": "-c c.txt\nfastapi\nuvicorn\n", "c.txt": "fastapi==0.1\n"}, want: []string{"r.txt:3:1-8"},
			},
			{name: "from wheels", dockerfile: slim + "COPY r.txt .\nRUN pip install --no-index --find-links /wheels -r r.txt flask", files: map[string]string{"r.txt": "fastapi\n"}},
			{name: "constrained in the file", dockerfile: slim + "COPY r.txt .\nRUN pip install -r r.txt", files: map[string]string{"r.txt": "-c c.txt\nfastapi\n"}},
			{name: "unknown", dockerfile: slim + "RUN pip install $PACKAGES \"x==$VERSION\" /tmp/x.whl ./dist/y.whl"},
			{name: "values of options", dockerfile: slim + "RUN pip install --index-url https://example.com --only-binary :all: -t /opt/x --python /opt/venv/bin/python a==1"},
			{name: "project behind its lock", dockerfile: slim + "COPY . .\nRUN pip install -r requirements.txt && true\nRUN pip install .", files: map[string]string{"requirements.txt": "fastapi==1\n", "pyproject.toml": "[project]\ndependencies = ['fastapi']\n"}},
			{name: "lock", dockerfile: slim + "RUN uv sync --frozen", files: map[string]string{"pyproject.toml": "", "uv.lock": ""}},
			{name: "the tools of the image", dockerfile: slim + "RUN pip install -U pip setuptools wheel"},
		},
		"root-user": {
			{name: "none", dockerfile: slim, want: []string{"1:1-22"}},
			{name: "root", dockerfile: slim + "USER 10001\nUSER root", want: []string{"3:1-10"}},
			{name: "zero", dockerfile: slim + "USER 0:0", want: []string{"2:1-9"}},
			{name: "of the build stage", dockerfile: slim + "USER 10001\nFROM python:3.13-slim\nCOPY --from=0 /a /b", want: []string{"3:1-22"}},
			{name: "user", dockerfile: slim + "USER 10001:10001"},
			{name: "inherited", dockerfile: slim[:len(slim)-1] + " AS base\nUSER 10001\nFROM base"},
			{name: "by an argument", dockerfile: slim + "ARG UID=10001\nUSER $UID"},
			{name: "unknown", dockerfile: slim + "ARG UID\nUSER $UID"},
			{name: "distroless", dockerfile: "FROM gcr.io/distroless/python3-debian12:nonroot"},
			{name: "another base", dockerfile: "FROM registry.example.com/base:1.4"},
		},
		"secret-file-copied": {
			{name: "named", dockerfile: slim + "COPY requirements.txt .env ./", want: []string{"2:23-27"}},
			{name: "a key", dockerfile: slim + "ADD id_rsa /root/.ssh/", want: []string{"2:5-11"}},
			{name: "with all", dockerfile: slim + "COPY . .", files: map[string]string{".env": "A=b\n"}, want: []string{"2:1-9"}},
			{name: "example", dockerfile: slim + "COPY .env.example .environment ./"},
			{name: "ignored", dockerfile: slim + "COPY . .", files: map[string]string{".env": "A=b\n", ".dockerignore": ".env*\n"}},
			{name: "build stage", dockerfile: slim + "COPY .netrc /root/\nFROM python:3.13-slim\nCOPY --from=0 /opt/venv /opt/venv"},
		},
		"secret-in-arg-or-env": {
			{name: "ENV", dockerfile: slim + "ENV A=1 \\\n    DB_PASSWORD=hunter2", want: []string{"3:5-16"}},
			{name: "ARG", dockerfile: slim + "ARG GITHUB_TOKEN", want: []string{"2:5-17"}},
			{name: "before FROM", dockerfile: "ARG API_KEY=x\n" + slim, want: []string{"1:5-12"}},
			{name: "URL", dockerfile: slim + "ENV DATABASE_URL=postgres://me:hunter2@db/x", want: []string{"2:5-17"}},
			{name: "default of ARG", dockerfile: slim + "ARG INDEX=https://me:hunter2@pypi.example.com/simple", want: []string{"2:5-10"}},
			{name: "RUN", dockerfile: slim + "RUN pip install \\\n  --index-url https://me:hunter2@pypi.example.com/simple x==1", want: []string{"3:26-33"}},
			{name: "token", dockerfile: slim + "RUN git clone https://x.example.com -c k=ghp_" + strings.Repeat("a1", 18), want: []string{"2:42-82"}},
			{
				name: "in what is installed", dockerfile: slim + "COPY r.txt .\nRUN pip install -r r.txt -r https://me:hunter2@x.example.com/dev.txt 'pytest @ git+https://me:hunter2@x.example.com/a'",
				files: map[string]string{"r.txt": "-e git+https://me:hunter2@x.example.com/a#egg=a\npytest @ https://me:hunter2@x.example.com/a.zip\n"},
				want:  []string{"3:40-47", "r.txt:1:19-26", "r.txt:2:21-28"},
			},
			{name: "requirements", dockerfile: slim + "COPY r.txt .\nRUN pip install -r r.txt", files: map[string]string{"r.txt": "--extra-index-url https://me:hunter2@x.example.com\na==1\n"}, want: []string{"r.txt:1:30-37"}},
			{name: "from a mount", dockerfile: slim + "RUN --mount=type=secret,id=token pip install --index-url \"https://me:$(cat /run/secrets/token)@x.example.com\" a==1"},
			{name: "about secrets", dockerfile: slim + "ENV TOKENIZERS_PARALLELISM=false DB_PASSWORD_FILE=/run/secrets/db TOKEN_URL=https://x.example.com/token ACCESS_TOKEN_EXPIRE_MINUTES=30 SECRET_KEY= SESSION_TOKEN_BYTES=32 ALLOW_EMPTY_PASSWORD=yes\nARG SSH_AUTH_SOCK"},
			{name: "harmless", dockerfile: slim + "ENV MONKEY=1 KEYCLOAK=2 PASSENGER=3 PATH=/opt/x@y:z PWD=/\nARG PIP_INDEX_URL\nLABEL url=https://example.com:80/@x"},
			{name: "stage not needed", dockerfile: "FROM python:3.13-slim AS old\nENV PASSWORD=x\nFROM python:3.13-slim"},
		},
		"shell-form-entrypoint": {
			{name: "CMD", dockerfile: slim + "CMD uvicorn main:app", want: []string{"2:1-21"}},
			{name: "ENTRYPOINT", dockerfile: slim + "ENTRYPOINT python \\\n  main.py", want: []string{"2:1-3:10"}},
			{name: "shell in exec form", dockerfile: slim + `CMD ["sh", "-c", "python manage.py migrate && gunicorn x"]`, want: []string{"2:1-59"}},
			{name: "not exec", dockerfile: slim + "CMD ['uvicorn', 'main:app']", want: []string{"2:1-28"}},
			{name: "exec form", dockerfile: slim + `CMD ["uvicorn", "main:app"]`},
			{name: "exec", dockerfile: slim + "CMD python manage.py migrate && exec gunicorn x"},
			{name: "exec in exec form", dockerfile: slim + `CMD ["sh", "-c", "exec uvicorn main:app --port $PORT"]`},
			{name: "not the last", dockerfile: slim + "CMD uvicorn main:app\n" + `CMD ["uvicorn", "main:app"]`},
			{name: "of a build stage", dockerfile: slim + "CMD make\nFROM python:3.13-slim\nCOPY --from=0 /a /b"},
		},
		"single-worker": {
			{name: "sync", dockerfile: slim + `CMD ["gunicorn", "--bind", "0.0.0.0", "app:app"]`, want: []string{"2:6-16"}},
			{name: "one", dockerfile: slim + `CMD ["gunicorn", "-w", "1", "-k=sync", "app:app"]`, want: []string{"2:6-16"}},
			{name: "threads", dockerfile: slim + `CMD ["gunicorn", "--threads=8", "app:app"]`},
			{name: "workers", dockerfile: slim + `CMD ["gunicorn", "-w", "4", "app:app"]`},
			{name: "class", dockerfile: slim + `CMD ["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "app:app"]`},
			{name: "variable", dockerfile: slim + "ENV WEB_CONCURRENCY=4\n" + `CMD ["gunicorn", "app:app"]`},
			{name: "config", dockerfile: slim + `CMD ["gunicorn", "--config=python:conf", "app:app"]`},
		},
		"user-by-name": {
			{name: "name", dockerfile: slim + "USER app", want: []string{"2:1-9"}},
			{name: "name and group", dockerfile: slim + "USER app:10001", want: []string{"2:1-15"}},
			{name: "number", dockerfile: slim + "USER app\nUSER 10001"},
			{name: "root", dockerfile: slim + "USER root"},
		},
		"workers-in-container": {
			{name: "uvicorn", dockerfile: slim + `CMD ["uvicorn", "main:app", "--workers", "4"]`, want: []string{"2:29-40"}},
			{name: "gunicorn with uvicorn's", dockerfile: slim + `CMD ["gunicorn", "-w", "4", "-k", "uvicorn.workers.UvicornWorker", "a:b"]`, want: []string{"2:18-22"}},
			{name: "fastapi", dockerfile: slim + `CMD ["fastapi", "run", "--workers=2"]`, want: []string{"2:24-37"}},
			{name: "one", dockerfile: slim + `CMD ["uvicorn", "main:app", "--workers", "1"]`},
			{name: "WSGI", dockerfile: slim + `CMD ["gunicorn", "-w", "4", "a:b"]`},
		},
		"CopyIgnoredFile": {
			{name: "ignored", dockerfile: slim + "COPY tests requirements.txt ./", files: map[string]string{".dockerignore": "tests\n"}, want: []string{"2:6-11"}},
			{name: "skipped", dockerfile: "# check=skip=CopyIgnoredFile\n" + slim + "COPY tests ./", files: map[string]string{".dockerignore": "tests\n"}},
			{name: "not ignored", dockerfile: slim + "COPY tests ./", files: map[string]string{".dockerignore": "*\n!tests\n"}},
		},
		"SecretsUsedInArgOrEnv": {
			{name: "said better", dockerfile: slim + "ARG API_KEY\nENV DB_PASSWORD=hunter2"},
			{name: "about secrets", dockerfile: slim + "ARG TOKEN_URL\nARG SSH_AUTH_SOCK\nENV ACCESS_TOKEN_EXPIRE_MINUTES=30 SECRET_KEY= ALLOW_EMPTY_PASSWORD=yes"},
			{name: "known to BuildKit alone", dockerfile: slim + "ENV DB_PASSWORD=hunter2 SOPS_AGE_KEY=hunter2", want: []string{"2:1-45"}},
		},
		"JSONArgsRecommended": {{name: "exec", dockerfile: slim + "CMD exec a"}, {name: "said better", dockerfile: slim + "CMD a"}, {name: "in another stage", dockerfile: slim + "CMD a\nFROM python:3.13-slim", want: []string{"2:1-6"}}},
		"StageNameCasing":     {{name: "upper case", dockerfile: "FROM python:3.13-slim AS Run", want: []string{"1:1-29"}}, {name: "skipped", dockerfile: "# check=skip=StageNameCasing\nFROM python:3.13-slim AS Run"}},
		"WorkdirRelativePath": {{name: "relative", dockerfile: slim + "WORKDIR app", want: []string{"2:1-12"}}, {name: "absolute", dockerfile: slim + "WORKDIR /app"}},
		// Nothing is pulled.
		"InvalidBaseImagePlatform": {{name: "another platform", dockerfile: "ARG P=linux/arm64\nFROM --platform=$P python:3.13-slim"}},
		"UndefinedVar": {
			{name: "misspelled", dockerfile: slim + "COPY x $HOEM", want: []string{"2:1-13"}},
			{name: "misspelled on another base", dockerfile: "FROM mambaorg/micromamba:2.0\nENV DATA_DIR=/x\nCOPY x $DATA_DIRR", want: []string{"3:1-18"}},
			{name: "of an image of a known one", dockerfile: slim[:len(slim)-1] + " AS base\nFROM base\nCOPY x $NOTHING_SUCH", want: []string{"3:1-21"}},
			{name: "of the image of Python", dockerfile: slim + "COPY x /python$PYTHON_VERSION"},
			{name: "of another base", dockerfile: "FROM public.ecr.aws/lambda/python:3.13 AS base\nFROM base\nCOPY x ${LAMBDA_TASK_ROOT}"},
		},
		"LegacyKeyValueFormat": {{name: "old", dockerfile: slim + "ENV a b", want: []string{"2:1-8"}}},
	} {
		for _, test := range tests {
			t.Run(rule+"/"+test.name, func(t *testing.T) {
				files := map[string]string{"Dockerfile": test.dockerfile}
				for name, content := range test.files {
					files[name] = content
				}
				report := check(t, files, test.target)
				want := append([]string{}, test.want...)
				if diff := cmp.Diff(want, places(report, rule)); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				for _, finding := range report.Findings {
					if strings.Contains(finding.Message+finding.Fix, "hunter2") {
						t.Errorf("a secret is in %q", finding.Message)
					}
					if line := report.Line(finding.Path, finding.Line); strings.Contains(line, "hunter2") {
						t.Errorf("a secret is in the line %q", line)
					}
				}
			})
		}
	}
}

// TestRulesAreTested holds the table above to the rules.
func TestRulesAreTested(t *testing.T) {
	content, err := os.ReadFile("rules_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range ownRules() {
		if !strings.Contains(string(content), "\""+rule.ID+"\": {") {
			t.Errorf("rule %s has no cases in TestRules", rule.ID)
		}
	}
	ids := []string{}
	for _, rule := range Rules() {
		if slices.Contains(ids, rule.ID) {
			t.Errorf("rule %s is there twice", rule.ID)
		}
		ids = append(ids, rule.ID)
	}
}
