# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does instead.
#
# The build context is a directory above the service: paths of COPY start there, with
# services/shop for the service itself.

# The full image has compilers, headers, git and ImageMagick, which no service runs. Every
# node pulls them, every scanner reports them, and an intruder can use them. Slim has them
# in a stage that is thrown away, if they are needed at all.
FROM python:3.13 AS run
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
# Everything is copied first: a change of any file, even of a comment, discards the cached
# layers that follow, and each build installs each dependency again. Slim copies only the
# lock before it installs.
COPY . .
WORKDIR /app/services/shop
# pip keeps its downloads in a cache that is now part of the image; the tools of the tests
# are in it, too; every container compiles the bytecode again, if the service can write it.
COPY <<'EOF' requirements.py
import os, re, sys
import tomllib

with open("pyproject.toml", "rb") as file:
    document = tomllib.load(file)
project = document.get("project", {})
extras = project.get("optional-dependencies", {})
groups = document.get("dependency-groups", {})
own = project.get("name", "") + "["

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

sources = document.get("tool", {}).get("uv", {}).get("sources", {})
paths = {plain(name): source["path"] for name, source in sources.items() if "path" in source}

def placed(entry):
    here = os.getcwd()
    for name in ["file:///${PROJECT_ROOT}", "file://${PROJECT_ROOT}", "{root:uri}"]:
        entry = entry.replace(name, "file://" + here)
    name, extras, marker = re.match(r"([\w.-]+)\s*(\[[^]]*\])?[^;]*(;.*)?", entry).groups("")
    return f"./{paths[plain(name)]}{extras} {marker}" if plain(name) in paths else entry

def members(name):
    for entry in [*groups.get(name, []), *extras.get(name, [])]:
        if isinstance(entry, dict):
            yield from members(entry["include-group"])
        elif entry.startswith(own):  # another extra of this project
            for extra in entry.removeprefix(own).rstrip("] ").split(","):
                yield from members(extra.strip())
        else:
            yield placed(entry)

print(*map(placed, project.get("dependencies", [])), sep="\n")
for name in sys.argv[1:]:
    print(*members(name), sep="\n")
EOF
RUN python requirements.py > /tmp/resolved.txt
RUN pip install -r /tmp/resolved.txt
EXPOSE 8000
# No USER: the service runs as root, which can change its code and tools, and has more of
# the kernel to attack.
#
# Shell form: a shell starts the server. A shell that stays process 1 does not pass SIGTERM
# on, so every stop waits for the grace period and then cuts requests off.
CMD uvicorn main:app --host 0.0.0.0 --port 8000 --timeout-graceful-shutdown 20

FROM run AS test
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN pip install pytest==9.2.0
CMD ["python", "-m", "pytest"]

FROM run
