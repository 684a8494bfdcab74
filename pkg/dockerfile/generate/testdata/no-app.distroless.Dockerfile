# shop: built with a shell and pip, run with Python alone.

# The Debian release of the last image: what is compiled here meets the same C library
# there.
FROM python:3.13-slim-trixie AS build
# A company's own index or proxy. Empty, pip keeps its default. Declared where pip runs
# only, so that the image does not carry them.
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
# The tool that reads the list of dependencies, in a venv of its own: cached until its
# version changes, and left behind with this stage.
RUN python -m venv /tmp/tools \
 && /tmp/tools/bin/python -m pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check \
      uv==0.13.9
WORKDIR /tmp/dependencies
# Only the files that list the dependencies: a change of code leaves this stage, the slow
# one, cached.
COPY pyproject.toml uv.lock ./
# One RUN, because Kaniko takes a snapshot after each. The image's own pip fills the venv,
# which needs none itself. Bytecode is compiled here, because the running service cannot
# write it; unchecked-hash keeps it valid whatever a builder does to file times.
#
# The lock becomes requirements that pip installs, because pip knows the company's index and
# its mirrors; the tool that reads the lock is left behind.
#
# Wheels of the locked hashes only: nothing is compiled, and no code of a package runs while
# it is installed.
#
# The venv is at the same place in the last image, whose Python is /usr/bin/python3.13:
# links and a pyvenv.cfg that say so are put over it there, so that scripts and .pth files
# work as they are.
RUN python -m venv --without-pip /opt/venv \
 && /tmp/tools/bin/uv export --quiet --frozen --offline --no-python-downloads --no-default-groups --no-emit-project \
      --format requirements.txt --output-file resolved.txt \
 && /tmp/tools/bin/uv export --quiet --frozen --offline --no-python-downloads --no-default-groups --no-emit-project --group dev \
      --format requirements.txt --output-file resolved-test.txt \
 && python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: \
      --no-cache-dir --no-compile --disable-pip-version-check \
      -r resolved.txt \
 && (python -I -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib || true) \
 && mkdir -p /opt/distroless/bin \
 && ln -s /usr/bin/python3.13 /opt/distroless/bin/python3.13 \
 && ln -s python3.13 /opt/distroless/bin/python3 \
 && ln -s python3.13 /opt/distroless/bin/python \
 && sed -e "s|^home = .*|home = /usr/bin|" -e "s|^executable = .*|executable = /usr/bin/python3.13|" \
      /opt/venv/pyvenv.cfg > /opt/distroless/pyvenv.cfg

# The code changes most often, so it has a stage that is independent of the others. Its
# bytecode is compiled once as well, not by every replica that starts.
FROM python:3.13-slim-trixie AS code
COPY main.py /app/
RUN (python -I -m compileall -q --invalidation-mode unchecked-hash /app || true)

# Python, its libraries and certificates: no shell, no package manager.
FROM gcr.io/distroless/python3-debian13:nonroot AS run
# Scripts of the venv, and the code, are found by name. Nothing is compiled again, and a
# line of the log is written when it is printed.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/distroless /opt/venv
# The code comes last: a change of it is this one small layer.
COPY --from=code /app /app
WORKDIR /app
# A number, so that Kubernetes can tell that it is not root. All files belong to root: the
# service cannot change its own code.
USER 65532:65532
EXPOSE 8000
# Exec form: the server is process 1 and gets SIGTERM itself; behind a shell that does not
# pass it on, it is killed after Kubernetes' grace period, with its requests.
#
# The command of a process names its program.
ENTRYPOINT []
CMD ["sh", "-c", "exec python bot.py \"$ROOM\""]

# What the tests need in a venv of its own, which sees the one of the app: the layer of the
# tests is small. Only the target `test` takes this stage and the next.
FROM build AS test-build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN python -m venv --without-pip /opt/test \
 && echo "import site; site.addsitedir('$(echo /opt/venv/lib/python*/site-packages)')" \
      > "$(echo /opt/test/lib/python*/site-packages)/app.pth" \
 && python -m pip --python /opt/test/bin/python install --require-hashes --only-binary=:all: \
      --no-cache-dir --no-compile --disable-pip-version-check \
      -r resolved-test.txt \
 && (python -I -m compileall -q --invalidation-mode unchecked-hash /opt/test/lib || true)

# The image that is deployed, with the tests: the same user, the same settings.
FROM run AS test
COPY --from=test-build /opt/test /opt/test
COPY --from=build /opt/distroless /opt/test
# A shell for the tests alone: by it they get the variables and the CA that the platform
# gives to builds.
COPY --from=build /usr/bin/dash /bin/sh
COPY . /app/
# The user cannot write beside the code.
ENV PATH=/opt/test/bin:$PATH \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    COVERAGE_FILE=/tmp/.coverage
ENTRYPOINT ["/opt/test/bin/python", "-m"]
CMD ["pytest"]

# The image that is deployed is `run`, as it was tested. It is last, so that a build without
# a target makes it and leaves the tests out.
FROM run
