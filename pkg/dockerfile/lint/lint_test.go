package lint

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

const example = "../../../examples/mountains"

func TestExampleHasNoFindings(t *testing.T) {
	report, err := Run(t.Context(), Options{Dir: example, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) > 0 {
		t.Errorf("findings: %v", places(report, ""))
	}
	if got, want := report.Summary(), "no findings in Dockerfile"; got != want {
		t.Errorf("summary is %q, want %q", got, want)
	}
}

// TestDockerfiles has what is found in all in Dockerfiles as people write them.
func TestDockerfiles(t *testing.T) {
	locked := "fastapi==0.165.0" + hash + "\n"
	ignore := ".git\n.venv\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"bloated": {
			map[string]string{
				"requirements.txt": "fastapi\nuvicorn[standard]\npytest\n", "main.py": "", ".env": "PASSWORD=x\n",
				"Dockerfile": `FROM python:latest
WORKDIR /app
COPY . .
RUN apt-get update && apt-get install -y gcc
RUN pip install --upgrade pip
RUN pip install -r requirements.txt
ENV API_KEY=hunter2
CMD uvicorn main:app --reload
`,
			},
			[]string{
				"1:1-19 root-user",
				"1:6-19 base-image-floating", "1:6-19 base-image-full",
				"3:1-9 dockerignore-missing", "3:1-9 secret-file-copied", "4:5-19 apt-lists-kept", "4:23-38 apt-recommends", "4:42-45 build-tools-left",
				"5:5-16 code-before-dependencies", "5:5-16 pip-cache-kept", "5:27-30 pip-upgraded", "6:5-16 pip-cache-kept", "7:5-12 secret-in-arg-or-env",
				"8:5-12 listens-on-localhost", "8:22-30 reload-in-production", "8:1-30 shell-form-entrypoint",
				"requirements.txt:1:1-8 requirements-unpinned", "requirements.txt:2:1-18 requirements-unpinned",
				"requirements.txt:3:1-7 dev-dependencies-in-image", "requirements.txt:3:1-7 requirements-unpinned",
			},
		},
		"the framework's tutorial": {
			map[string]string{
				"requirements.txt": "fastapi[standard]>=0.113.0,<0.114.0\npydantic>=2.7.0,<3.0.0\n", "app/main.py": "", ".dockerignore": ignore,
				"Dockerfile": `FROM python:3.9

WORKDIR /code

COPY ./requirements.txt /code/requirements.txt

RUN pip install --no-cache-dir --upgrade -r /code/requirements.txt

COPY ./app /code/app

CMD ["fastapi", "run", "app/main.py", "--port", "80"]
`,
			},
			[]string{
				"1:6-16 base-image-full", "1:6-16 base-image-unsupported", "1:1-16 root-user",
				"requirements.txt:1:1-36 requirements-unpinned", "requirements.txt:2:1-23 requirements-unpinned",
			},
		},
		"flask with compose": {
			map[string]string{
				"requirements.txt": "flask\nredis\n", "app.py": "",
				"Dockerfile": `# syntax=docker/dockerfile:1
FROM python:3.12-alpine
WORKDIR /code
ENV FLASK_APP=app.py
ENV FLASK_RUN_HOST=0.0.0.0
RUN apk add --no-cache gcc musl-dev linux-headers
COPY requirements.txt ./
RUN pip install -r requirements.txt
EXPOSE 5000
COPY . .
CMD ["flask", "run", "--debug"]
`,
			},
			[]string{
				"2:1-24 root-user", "6:24-27 build-tools-left", "8:5-16 pip-cache-kept", "10:1-9 dockerignore-missing",
				"11:6-20 reload-in-production", "11:22-31 reload-in-production", "requirements.txt:1:1-6 requirements-unpinned", "requirements.txt:2:1-6 requirements-unpinned",
			},
		},
		"the vendor's guide for Python": {
			map[string]string{
				"requirements.txt": locked, "app.py": "", ".dockerignore": ignore,
				"Dockerfile": `# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1
ENV PYTHONUNBUFFERED=1
WORKDIR /app
ARG UID=10001
RUN adduser --disabled-password --gecos "" --home "/nonexistent" --shell "/sbin/nologin" --no-create-home --uid "${UID}" appuser
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements.txt,target=requirements.txt \
    python -m pip install -r requirements.txt
USER appuser
COPY . .
EXPOSE 8000
CMD python3 -m uvicorn app:app --host=0.0.0.0 --port=8000
`,
			},
			[]string{"12:1-13 user-by-name", "15:1-58 shell-form-entrypoint"},
		},
		"uv in two stages": {
			map[string]string{
				"pyproject.toml": "[project]\nname = \"x\"\ndependencies = [\"fastapi\"]\n[dependency-groups]\ndev = [\"pytest\"]\n", "uv.lock": "", "src/x/main.py": "", ".dockerignore": ignore,
				"Dockerfile": `FROM ghcr.io/astral-sh/uv:0.9.5-python3.13-bookworm-slim AS builder
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --locked --no-install-project --no-dev
COPY . /app
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev

FROM python:3.13-slim-bookworm
COPY --from=builder --chown=10001:10001 /app /app
ENV PATH="/app/.venv/bin:$PATH"
USER 10001
CMD ["fastapi", "run", "--host", "0.0.0.0", "/app/src/x"]
`,
			},
			nil,
		},
		"poetry with an installer": {
			map[string]string{
				"pyproject.toml": "[tool.poetry]\nname = \"x\"\n[tool.poetry.group.dev.dependencies]\npytest = \"*\"\n", "poetry.lock": "", "x/main.py": "", ".dockerignore": ignore,
				"Dockerfile": `FROM python:3.11-slim AS builder
ENV POETRY_HOME=/opt/poetry POETRY_VIRTUALENVS_IN_PROJECT=true
RUN apt-get update \
    && apt-get install --no-install-recommends -y curl build-essential
RUN curl -sSL https://install.python-poetry.org | python3 -
WORKDIR /app
COPY poetry.lock pyproject.toml ./
RUN poetry install --no-root
FROM python:3.11-slim
COPY --from=builder /app/.venv /app/.venv
COPY x /app/x
USER nobody
ENTRYPOINT ["/app/.venv/bin/gunicorn", "x.main:app"]
CMD ["--bind", ":8000", "--workers", "2", "-k", "uvicorn.workers.UvicornWorker"]
`,
			},
			[]string{"5:5-60 installer-piped-to-shell", "8:5-19 dev-dependencies-in-image", "12:1-12 user-by-name", "14:25-36 workers-in-container"},
		},
		"django with wait": {
			map[string]string{
				"requirements/base.txt": "django==5.2\n", "requirements/production.txt": "-r base.txt\ngunicorn==23.0\n", ".dockerignore": ignore, "manage.py": "",
				"Dockerfile": `FROM python:3.13-slim-trixie AS build
COPY requirements /requirements
RUN pip wheel --wheel-dir /wheels -r /requirements/production.txt
FROM python:3.13-slim-trixie
RUN apt-get update && apt-get install --no-install-recommends -y \
  # translations
  gettext \
  libpq5 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels/ /wheels/* && rm -rf /wheels
COPY --chown=10001 . /app
USER 10001
ENTRYPOINT ["/app/entrypoint.sh"]
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:5000", "--chdir=/app"]
`,
			},
			[]string{"15:6-16 single-worker", "requirements/base.txt:1:1-12 requirements-unhashed"},
		},
		"conda": {
			map[string]string{
				"Dockerfile": `FROM continuumio/miniconda3:24.1.2-0
COPY environment.yml .
RUN conda env create -f environment.yml
COPY app /app
SHELL ["conda", "run", "-n", "x", "/bin/bash", "-c"]
ENTRYPOINT ["conda", "run", "--no-capture-output", "-n", "x", "python", "/app/main.py"]
`,
			},
			[]string{"1:1-37 root-user"},
		},
		"mounts that can be written to": {
			map[string]string{"Dockerfile": "FROM scratch\nRUN --mount=target=/a,rw [\"/a\"]\nUSER 65532\n", ".dockerignore": ignore},
			nil,
		},
		"no Python at all": {
			map[string]string{"Dockerfile": "FROM golang:1.26 AS build\nCOPY . .\nRUN go build -o /x .\nFROM scratch\nCOPY --from=build /x /x\nUSER 65532\nENTRYPOINT [\"/x\"]\n", ".dockerignore": ignore},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			report := check(t, test.files, "")
			got := map[string]int{}
			for _, place := range places(report, "") {
				got[place]++
			}
			want := map[string]int{}
			for _, place := range test.want {
				want[place]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for i := 1; i < len(report.Findings); i++ {
				a, b := report.Findings[i-1], report.Findings[i]
				if a.Path > b.Path || a.Path == b.Path && a.Line > b.Line || a.Path == b.Path && a.Line == b.Line && a.Rule > b.Rule {
					t.Errorf("finding %d is before %d", i-1, i)
				}
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"above":                {map[string]string{"Dockerfile": "# pyflow: ignore=root-user,base-image-floating: a reason\n# more\nFROM python"}, []string{"1:28-48 ignore-unknown", "3:6-12 base-image-floating", "3:6-12 base-image-full"}},
		"several":              {map[string]string{"Dockerfile": "# pyflow: ignore=root-user,base-image-floating as is\n# pyflow:ignore = base-image-full\nFROM python"}, nil},
		"not above":            {map[string]string{"Dockerfile": "# pyflow: ignore=root-user\n\nFROM python:3.13-slim"}, []string{"3:1-22 root-user"}},
		"inside":               {map[string]string{"Dockerfile": "FROM python:3.13-slim\nUSER 1\nRUN apt-get update \\\n # pyflow: ignore=apt-lists-kept\n && true"}, nil},
		"the other way around": {map[string]string{"Dockerfile": "FROM python:3.13-slim\nUSER 1\n# pyflow: ignore=pip-cache-kept\nRUN pip install x==1\nRUN pip install y==1"}, []string{"5:5-16 pip-cache-kept"}},
		"the whole file":       {map[string]string{"Dockerfile": "FROM python:3.13-slim\nUSER 1\n# pyflow: ignore-file=pip-cache-kept\n\nRUN pip install x==1\nRUN pip install y==1"}, nil},
		"BuildKit's":           {map[string]string{"Dockerfile": "# pyflow: ignore=StageNameCasing\nFROM python:3.13-slim AS A\nUSER 1"}, nil},
		"shadowing":            {map[string]string{"Dockerfile": "FROM python:3.13-slim\nUSER 1\n# pyflow: ignore=shell-form-entrypoint\nCMD a"}, nil},
		"requirements": {
			map[string]string{
				"Dockerfile":       "FROM python:3.13-slim\nUSER 1\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt",
				"requirements.txt": "a  # pyflow: ignore=requirements-unpinned\n# pyflow: ignore=requirements-unpinned\n# because\nb\nc\n",
			}, []string{"requirements.txt:5:1-2 requirements-unpinned"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := places(check(t, test.files, ""), "")
			if diff := cmp.Diff(append([]string{}, test.want...), got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	dir := writeFiles(t, map[string]string{"Dockerfile": "FROM python:3.13-slim AS run\nUSER 1\n"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx     context.Context
		options Options
		is      error
		want    string
	}{
		"no Dockerfile":  {t.Context(), Options{Dir: t.TempDir()}, dockerfile.ErrNotFound, "there is no Dockerfile"},
		"outside":        {t.Context(), Options{Dir: dir, Dockerfile: "../Dockerfile"}, dockerfile.ErrOutside, "inside the directory"},
		"no directory":   {t.Context(), Options{Dir: filepath.Join(dir, "nothing")}, nil, "open the directory"},
		"a file":         {t.Context(), Options{Dir: filepath.Join(dir, "Dockerfile")}, nil, "not a directory"},
		"unknown target": {t.Context(), Options{Dir: dir, Target: "test"}, nil, `no stage "test"; it has run`},
		"interrupted":    {ctx, Options{Dir: dir}, context.Canceled, "check Dockerfile"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(test.ctx, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestContent(t *testing.T) {
	dir := writeFiles(t, map[string]string{"requirements.txt": "fastapi\n"})
	report, err := Run(t.Context(), Options{
		Dir: dir, Now: today, Dockerfile: "Dockerfile (generated)",
		Content: []byte("FROM python:3.13-slim\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\nUSER 1\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"requirements.txt:1:1-8 requirements-unpinned"}, places(report, "")); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if failures, warnings, notes := report.Count(); failures != 0 || warnings != 1 || notes != 0 {
		t.Errorf("counts are %d, %d, %d", failures, warnings, notes)
	}
	if got, want := report.Summary(), "1 warning in requirements.txt"; got != want {
		t.Errorf("summary is %q, want %q", got, want)
	}
}

func TestIgnoreFileThatIsNotThere(t *testing.T) {
	dir := writeFiles(t, map[string]string{".env": "A=1\n"})
	for ignore, want := range map[string][]string{
		"":       {"2:1-9 dockerignore-missing", "2:1-9 secret-file-copied"},
		"*.md\n": {"2:1-9 secret-file-copied"},
		".env\n": {},
	} {
		options := Options{Dir: dir, Content: []byte("FROM python:3.13-slim\nCOPY . .\nUSER 1\n"), Now: today}
		if ignore != "" {
			options.Ignore = []byte(ignore)
		}
		report, err := Run(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, places(report, "")); diff != "" {
			t.Errorf("%q: findings (-want +got):\n%s", ignore, diff)
		}
	}
}

func TestEndOfSupport(t *testing.T) {
	for image, day := range map[string]string{"python:3.9-slim": "2025-10-31", "debian:bullseye": "2026-08-31"} {
		last, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		for now, want := range map[time.Time]int{last.Add(23 * time.Hour): 0, last.Add(24 * time.Hour): 1} {
			report, err := Run(t.Context(), Options{Content: []byte("FROM " + image), Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(places(report, "base-image-unsupported")); got != want {
				t.Errorf("%s on %s: %d findings, want %d", image, now, got, want)
			}
		}
	}
}

// FuzzRun holds that no Dockerfile and no requirements make it panic, and that each
// finding has a place that exists.
func FuzzRun(f *testing.F) {
	for _, seed := range []string{
		"", "FROM", "FROM x\nRUN <<EOF\n", "FROM x\nRUN a $(b", "FROM x\nCMD [\"a\\", "FROM x AS a\nFROM a AS a\nONBUILD COPY . .\nFROM a",
		"FROM x\nRUN pip install -", "FROM x\nRUN pip install --a= -r", "# escape=`\nFROM x\nRUN a `\n b", "FROM x\nCOPY r.txt .\nRUN pip install -rr.txt",
		"FROM x\nUSER ${A\nENV A", "ARG A=${B}\nFROM $A", "FROM x\nRUN sh -c 'sh -c \"sh -c uvicorn\"'\nCMD sh -c", "FROM x\n# pyflow: ignore=\n", "FROM x\nHEALTHCHECK CMD a\nSHELL [\"a\"]",
	} {
		f.Add([]byte(seed), []byte("a\nb==1 \\\n --hash=x\n# via x\n"))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, dockerfile, requirements []byte) {
		if len(dockerfile) > 1<<14 || len(requirements) > 1<<14 {
			return
		}
		writeInto(t, dir, map[string]string{"r.txt": string(requirements)})
		report, err := Run(t.Context(), Options{Dir: dir, Dockerfile: "Dockerfile", Content: append([]byte{}, dockerfile...), Now: today})
		if err != nil {
			t.Fatalf("%q: %v", dockerfile, err)
		}
		for _, f := range report.Findings {
			if f.Line > f.EndLine || f.Line == f.EndLine && f.Column > f.EndColumn || f.Line > 0 && f.Column < 1 || f.Message == "" || f.Rule == "" {
				t.Errorf("%q: finding %+v", dockerfile, f)
			}
		}
	})
}
